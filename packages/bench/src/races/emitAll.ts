/** A thousand events in one transaction, on one connection, against COPY and what the peers have for it. */
import * as EventLog from "@zakops/event-store/EventLog"
import { Outbox } from "@zakops/outbox/Outbox"
import { TransactionalPublisher } from "@zakops/outbox/TransactionalPublisher"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import type * as Scope from "effect/Scope"
import { pipeline } from "node:stream/promises"
import { Readable } from "node:stream"
import type { Client } from "pg"
import { from as copyFrom } from "pg-copy-streams"
import type { Goal } from "../Goal.ts"
import { connect, measured } from "../measure.ts"
import type { Contestant, Race } from "../Measurement.ts"
import { ours } from "../ours/services.ts"
import { DealPriced, parts, payload } from "../payload.ts"
import * as graphile from "../peers/graphileWorker.ts"
import { pool } from "../peers/inTransaction.ts"
import * as boss from "../peers/pgBoss.ts"

const batch = 1000

type Write = (numbers: ReadonlyArray<number>) => Effect.Effect<unknown, unknown>

const writing = (
  about: Omit<Contestant, "run">,
  open: (url: string) => Effect.Effect<Write, unknown, Scope.Scope>
): Contestant => ({
  ...about,
  run: (url, size) =>
    Effect.gen(function*() {
      const write = yield* open(url)
      return {
        ...yield* measured(url, size, Effect.forEach(parts(size, batch), write, { discard: true })),
        count: size
      }
    })
})

const zakops = Effect.fnUntraced(function*(url: string) {
  const services = yield* ours(url, { publisher: EventLog.layerPublisher, connections: 1 })
  const { emitAll } = Context.get(services, Outbox)
  const { transact } = Context.get(services, TransactionalPublisher)
  return (numbers: ReadonlyArray<number>) =>
    Effect.flatMap(
      Effect.forEach(numbers, (n) =>
        Effect.map(DealPriced.make(payload(n)), (event) => ({ event, correlationId: event.data.dealId }))),
      (emissions) =>
        transact(emitAll(emissions))
    )
})

/** Text of COPY: the payload has nothing in it that would have to be escaped but what JSON escapes with a backslash. */
const line = (n: number) => {
  const data = payload(n)
  const json = JSON.stringify(data).replaceAll("\\", "\\\\")
  return `${uuidV7Unsafe()}\t${data.dealId}\tdeal\t${data.dealId}\tdeal.priced\t1\t${json}\t{}\t5\tnow\tnow\n`
}

const copy = async (client: Client, numbers: ReadonlyArray<number>) => {
  await client.query("BEGIN")
  await pipeline(
    Readable.from([numbers.map(line).join("")]),
    client.query(
      copyFrom(`COPY zakops.outbox (id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version,
      event_data, headers, max_attempts, next_attempt_at, created_at) FROM STDIN`)
    )
  )
  await client.query("COMMIT")
}

export const emitAllRace = (goals: ReadonlyArray<Goal>): Race => ({
  name: "emit a thousand events in one transaction, one connection",
  unit: "events/s",
  size: 60_000,
  quickSize: 10_000,
  contestants: [
    writing({ name: "zakops", settings: "transact and emitAll: validated, encoded, the processor woken" }, zakops),
    writing({
      name: "COPY",
      settings: "pg-copy-streams into the same table; nothing validated, nobody woken",
      bound: true
    }, (url) =>
      Effect.gen(function*() {
        yield* ours(url, { publisher: EventLog.layerPublisher })
        const client = yield* connect(url)
        return (numbers) => Effect.promise(() => copy(client, numbers))
      })),
    writing({ name: "graphile-worker", settings: "addJobs, pool of 1" }, (url) =>
      Effect.gen(function*() {
        const made = yield* graphile.utils(yield* pool(url, 1))
        return (numbers) =>
          Effect.promise(() => made.addJobs(numbers.map((n) => ({ identifier: graphile.task, payload: payload(n) }))))
      })),
    writing({ name: "pg-boss", settings: "insert" }, (url) =>
      Effect.gen(function*() {
        const made = yield* boss.boss(url)
        return (numbers) => Effect.promise(() => made.insert(boss.queue, numbers.map((n) => ({ data: payload(n) }))))
      }))
  ],
  goals
})
