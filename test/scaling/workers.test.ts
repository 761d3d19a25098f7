/**
 * 1, 2, 4 and 8 worker processes, which know nothing of each other, on a database that is 1 and 10 ms away: each event once, each key in
 * its order, what they hold and their shares to be seen, and what the killed ones held goes on elsewhere. Prints throughput and fairness,
 * and judges neither.
 */
import { assert, layer } from "@effect/vitest"
import { startProxy } from "@zakops/bench/proxy"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { EventPublisher, TransportDown } from "@zakops/events/EventPublisher"
import { Outbox, TransactionalPublisher, Workers } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { fork } from "node:child_process"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import { eventually, services } from "../support/outbox.ts"
import { DatabaseUrl } from "../support/TestDatabase.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const nowhere = Layer.succeed(EventPublisher, {
  _tag: "External",
  destination: "nowhere",
  publish: () => Effect.fail(new TransportDown({ reason: "this process delivers nothing" }))
})

const Live = Workers.layer.pipe(
  Layer.provideMerge(services({ processorEnabled: false })),
  Layer.provideMerge(nowhere),
  Layer.provideMerge(Layer.effectDiscard(Effect.flatMap(SqlClient, (sql) =>
    sql`CREATE TABLE deliveries (
      n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL, key text, sequence bigint NOT NULL, worker text NOT NULL
    )`))),
  Layer.provideMerge(TestDatabase.layer)
)

const Counted = EventDefinition.make("counted", { payload: Schema.Struct({ n: Schema.Int }) })

const perStep = 200

/** Every fourth event has no key. */
const emitMany = Effect.fnUntraced(
  function*(count: number, keys: number, headers: Readonly<Record<string, string>> = {}) {
    const { transact } = yield* TransactionalPublisher
    const outbox = yield* Outbox
    const correlationId = randomUUID()
    for (let from = 0; from < count; from += 50) {
      const emissions = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, n) => from + n),
        (n) =>
          Effect.map(Counted.make({ n }), (event) => ({
            event,
            correlationId,
            headers,
            orderingKey: n % 4 === 0 ? null : `key ${n % keys}`
          }))
      )
      yield* transact(outbox.emitAll(emissions))
    }
  }
)

const startWorker = (name: string, url: string, direct: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      fork(join(import.meta.dirname, "workerProcess.ts"), [], {
        env: { PATH: process.env["PATH"] ?? "", DATABASE_URL: url, SCALING_DIRECT_URL: direct, SCALING_NAME: name },
        stdio: ["ignore", "ignore", "inherit", "ipc"]
      })
    ),
    (child) =>
      Effect.promise(() =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) return resolve()
          child.once("exit", () => resolve())
          child.kill("SIGTERM")
        })
      )
  )

const kill = (child: ReturnType<typeof fork>) =>
  Effect.promise(() =>
    new Promise<void>((resolve) => {
      child.once("exit", () => resolve())
      child.kill("SIGKILL")
    })
  )

const finished = Effect.flatMap(
  SqlClient,
  (sql) =>
    Effect.map(
      sql`SELECT FROM zakops.outbox WHERE status IS DISTINCT FROM 'delivered' LIMIT 1`,
      (rows) => rows.length === 0
    )
)

/** Each first delivery of a key's event is behind those of all that were written before it. */
const overtakings = Effect.flatMap(
  SqlClient,
  (sql) =>
    sql`WITH firsts AS (SELECT key, sequence, min(n) AS n FROM deliveries WHERE key IS NOT NULL GROUP BY key, sequence)
    SELECT key, sequence FROM (
      SELECT key, sequence, n, lag(n) OVER (PARTITION BY key ORDER BY sequence) AS before FROM firsts
    ) AS placed WHERE n < before`
)

/** Jain's index: 1 where all have the same, 1/n where one has all. */
const fairness = (counts: ReadonlyArray<number>, workers: number) =>
  counts.reduce((a, b) => a + b, 0) ** 2 / (workers * counts.reduce((sum, count) => sum + count ** 2, 0))

layer(Live, { excludeTestServices: true })("worker processes", (it) => {
  it.effect(
    "share the work without configuration, keep each key's order, and take over from the killed",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const sql = yield* SqlClient
        const { list } = yield* Workers
        const direct = yield* DatabaseUrl
        const proxy = yield* startProxy(direct)
        const children: Array<{ readonly name: string; readonly child: ReturnType<typeof fork> }> = []
        const lines: Array<string> = []
        for (const [count, latency] of [1, 2, 4, 8].flatMap((count) => [[count, 1], [count, 10]] as const)) {
          proxy.delay(latency)
          while (children.length < count) {
            const name = `worker ${children.length + 1}`
            children.push({ name, child: yield* startWorker(name, proxy.url, direct) })
          }
          yield* eventually(Effect.map(list, (workers) => workers.filter(({ alive }) => alive).length === count), 120)
          yield* sql`TRUNCATE deliveries, zakops.outbox_attempts`
          const began = performance.now()
          yield* emitMany(perStep, 24)
          yield* eventually(finished, 120)
          const seconds = (performance.now() - began) / 1000
          const shares = yield* sql<{ count: number }>`SELECT count(*)::int AS count FROM deliveries GROUP BY worker`
          lines.push(
            `${count} workers, ${latency} ms: ${Math.round(perStep / seconds)} events/s, fairness ${
              fairness(shares.map((share) => share.count), count).toFixed(2)
            }`
          )
          // On a machine that is very busy a lease may run out; then the history says so.
          const [row] = yield* sql<{ again: number; events: number; excused: number }>`
            SELECT count(*)::int - count(DISTINCT event_id)::int AS again, count(DISTINCT event_id)::int AS events,
              (SELECT count(*)::int FROM zakops.outbox_attempts) AS excused FROM deliveries`
          assert.strictEqual(row?.events, perStep, `${count} workers, ${latency} ms`)
          assert.isAtMost(row?.again ?? 0, row?.excused ?? 0, "once, unless an attempt is on record that says why not")
          assert.deepStrictEqual(yield* overtakings, [])
        }
        console.log(lines.join("\n"))

        // Each tells of itself every five seconds.
        yield* emitMany(50, 24, { slow: "6 seconds" })
        yield* eventually(Effect.map(list, (workers) => workers.some(({ holding }) => holding > 0)))
        const shares = (yield* list).map(({ share }) => share ?? 0)
        assert.closeTo(shares.reduce((sum, share) => sum + share, 0), 1, 0.001, "shares of one whole")
        yield* eventually(finished, 120)

        // With more keys than one worker can hold (whoever has a key may well keep it, where the destination is fast), they spread over
        // workers; half of those who hold some are killed in the middle.
        proxy.delay(1)
        yield* sql`TRUNCATE deliveries`
        yield* emitMany(200, 100, { slow: "400 millis" })
        const holding = sql<{ worker: string }>`
          SELECT DISTINCT claimed_by AS worker FROM zakops.outbox WHERE status = 'processing' AND ordering_key IS NOT NULL`
        yield* eventually(Effect.map(holding, (rows) => rows.length > 1), 120)
        const holders = new Set((yield* holding).map(({ worker }) => worker.split(":").at(-1)))
        const killed = children.filter(({ child }) => holders.has(String(child.pid))).slice(
          0,
          Math.ceil(holders.size / 2)
        )
        yield* Effect.forEach(killed, ({ child }) => kill(child), { concurrency: "unbounded" })
        const names = killed.map(({ name }) => name)
        const held = (yield* sql<{ id: string; worker: string }>`
          SELECT id, claimed_by AS worker FROM zakops.outbox WHERE status = 'processing' AND ordering_key IS NOT NULL`)
          .filter(({ worker }) => killed.some(({ child }) => worker.endsWith(`:${child.pid}`)))
        assert.isAbove(held.length, 0, "they held keys")
        yield* eventually(finished, 120)
        const [row] = yield* sql`SELECT count(DISTINCT event_id)::int AS events FROM deliveries`
        assert.deepStrictEqual(row, { events: 200 })
        assert.deepStrictEqual(yield* overtakings, [])
        const moved = yield* sql`SELECT DISTINCT event_id FROM deliveries
          WHERE event_id = ANY (${held.map(({ id }) => id)}::uuid[]) AND worker <> ALL (${names}::text[])`
        assert.lengthOf(moved, held.length, "what they held goes on at others")
        const left = children.length - killed.length
        yield* eventually(Effect.map(list, (workers) => workers.filter(({ alive }) => alive).length === left), 60)
      })),
    { timeout: 300_000 }
  )
})
