/** Projections whose handlers misbehave. */
import { assert, layer } from "@effect/vitest"
import { EventStore } from "@zakops/event-store/EventStore"
import * as Projection from "@zakops/event-store/Projection"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import { run } from "@zakops/event-store/runProjection"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Added } from "../support/counter.ts"
import { emptyTables, eventually } from "../support/outbox.ts"
import { happen, OnLog, parkedOf, stateOf } from "../support/projections.ts"

const quick = { pollInterval: "20 millis", batchSize: 5 } as const

class Wordless extends Schema.TaggedError<Wordless>()("Wordless", { n: Schema.Int }) {}

layer(OnLog, { excludeTestServices: true })("a projection whose handler", (it) => {
  const swallowing = (name: string, onFailure: "stop" | "park") =>
    Projection.make({
      name,
      onFailure,
      handlers: [Projection.on(Added, ({ data, envelope }) =>
        Effect.flatMap(SqlClient, (sql) => {
          const insert = sql`INSERT INTO swallowed VALUES (${data.by}, ${envelope.aggregateId})`
          return insert.pipe(Effect.catchReason("SqlError", "UniqueViolation", () => Effect.void))
        }))]
    })

  it.effect("overlooks that a statement failed is stopped by name, or the event is parked", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE swallowed (by int PRIMARY KEY, counter text)`
      yield* happen(randomUUID(), 1)
      const wrong = randomUUID()
      yield* happen(wrong, 1)
      yield* happen(randomUUID(), 2)
      const error = yield* Effect.flip(run(swallowing("stopping", "stop"), quick))
      assert.strictEqual(error._tag, "ProjectionStopped")
      assert.include(error.message, "one of its statements failed and it went on")
      yield* sql`TRUNCATE swallowed`
      const parking = swallowing("parking", "park")
      yield* Effect.forkScoped(run(parking, quick))
      yield* eventually(Effect.map(sql`SELECT 1 FROM swallowed WHERE by = 2`, (rows) => rows.length === 1))
      const parked = yield* parkedOf(parking)
      assert.deepStrictEqual(parked.map(({ reason }) => reason), ["failed"])
    })))

  it.effect("is interrupted elsewhere is stopped by name, and not in silence", () =>
    Effect.gen(function*() {
      yield* emptyTables
      yield* happen(randomUUID(), 1)
      const joining = Projection.make({
        name: "joining",
        handlers: [Projection.on(Added, () =>
          Effect.gen(function*() {
            const other = yield* Effect.forkChild(Effect.never)
            yield* Fiber.interrupt(other)
            return yield* Fiber.join(other)
          }))]
      })
      const error = yield* Effect.flip(run(joining, quick))
      assert.strictEqual(error._tag, "ProjectionStopped")
    }))

  it.effect("takes too long by a limit of its own is given up after some tries, and its event named", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const slow = Projection.make({
        name: "slow",
        onFailure: "park",
        handlers: [Projection.on(Added, ({ data }) =>
          data.by === 13
            ? Effect.andThen(sql`SET LOCAL statement_timeout = '10ms'`, sql`SELECT pg_sleep(5)`)
            : Effect.void)]
      })
      yield* happen(randomUUID(), 13)
      yield* Effect.forkScoped(run(slow, quick))
      yield* eventually(Effect.map(parkedOf(slow), (parked) => parked.length === 1))
      assert.include((yield* parkedOf(slow))[0]?.error, "statement timeout")
    })))

  it.effect("appends to a stream that a younger transaction has moved is run again", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { write } = yield* EventStore
      const hot = randomUUID()
      let younger = 0
      const follower = Projection.make({
        name: "follower",
        onFailure: "park",
        handlers: [Projection.on(Added, ({ data }) =>
          Effect.gen(function*() {
            if (data.by !== 7) return
            const append = Effect.flatMap(Added.make({ by: 1 }), (event) =>
              write({ aggregateType: "counter", aggregateId: hot }, "any", [event]))
            // As another session would, the first few times.
            if (younger++ < 4) {
              yield* Effect.updateContext(append, (context: Context.Context<never>) =>
                Context.omit(sql.transactionService)(context))
            }
            yield* append
          }))]
      })
      yield* happen(hot, 1)
      yield* happen(randomUUID(), 7)
      yield* Effect.forkScoped(run(follower, quick))
      const caughtUp = Effect.map(stateOf("follower"), ({ newest, position }) => younger >= 5 && position === newest)
      yield* eventually(Effect.map(ProjectionCatalog.list("follower"), (states) => states.length === 1))
      yield* eventually(caughtUp)
      assert.lengthOf(yield* parkedOf(follower), 0)
      const [row] = yield* sql<{ version: bigint }>`SELECT version FROM zakops.streams WHERE aggregate_id = ${hot}`
      assert.strictEqual(row?.version, 6n)
    })))

  it.effect("fails without words is told by the error's name and fields", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const wordless = Projection.make({
        name: "wordless",
        onFailure: "park",
        handlers: [Projection.on(Added, ({ data }) =>
          Effect.fail(data.by === 1 ? new Wordless({ n: 1 }) : { _tag: "Plain", why: "x" }))]
      })
      yield* happen(randomUUID(), 1)
      yield* happen(randomUUID(), 2)
      yield* Effect.forkScoped(run(wordless, quick))
      yield* eventually(Effect.map(parkedOf(wordless), (parked) =>
        parked.length === 2))
      assert.deepStrictEqual((yield* parkedOf(wordless)).map(({ error }) => error), [
        `Wordless {"n":1}`,
        `Plain {"why":"x"}`
      ])
    })))

  it.effect("fails on what an older build parked as newer stops it, where failures are to", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const { write } = yield* EventStore
      const stream = { aggregateType: "counter", aggregateId: randomUUID() }
      const Grown = EventDefinition.make("counter.added", {
        version: 2,
        payload: Schema.Struct({ by: Schema.Int }),
        upcasters: { 1: (json) => json }
      })
      yield* write(stream, "any", [yield* Grown.make({ by: 5 }), yield* Added.make({ by: 6 })])
      const old = Projection.make({ name: "grown", handlers: [Projection.on(Added, () => Effect.void)] })
      const running = yield* Effect.forkScoped(run(old, quick))
      yield* eventually(Effect.map(parkedOf(old), (parked) => parked.length === 2))
      yield* Fiber.interrupt(running)
      const broken = Projection.make({ name: "grown", handlers: [Projection.on(Grown, () => Effect.fail("broken"))] })
      for (let start = 0; start < 2; start++) {
        const error = yield* Effect.flip(run(broken, quick))
        assert.strictEqual(error._tag, "ProjectionStopped")
        assert.deepStrictEqual((yield* parkedOf(old)).map(({ reason }) => reason), ["newer", "behind"])
      }
      assert.include((yield* stateOf("grown")).error, "broken")
    })))

  it.effect("stands there twice for one type is refused where it is made", () =>
    Effect.sync(() => {
      const handler = Projection.on(Added, () => Effect.void)
      assert.throws(
        () => Projection.make({ name: "twice", handlers: [handler, handler] }),
        "two handlers of counter.added"
      )
    }))

  it.effect("cannot be given its event, for its row cannot be read, parks it as others or stops at it", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* sql`INSERT INTO zakops.agent_events (id, event_type, event_data)
        VALUES (gen_random_uuid(), 'counter.added', jsonb_build_object('by', repeat('x', 20000000)))`
      yield* sql`INSERT INTO zakops.agent_events (id, event_type, event_data, created_at)
        VALUES (gen_random_uuid(), 'counter.added', '{"by": 8}', 'infinity')`
      const seen: Array<number> = []
      const reading = (onFailure: "stop" | "park") =>
        Projection.make({
          name: onFailure,
          onFailure,
          handlers: [Projection.on(Added, ({ data }) => Effect.sync(() => seen.push(data.by)))]
        })
      const error = yield* Effect.flip(run(reading("stop"), quick))
      assert.include(error.message, "larger than 12 MiB")
      assert.strictEqual(error._tag, "ProjectionStopped")
      assert.deepStrictEqual(seen, [])
      yield* Effect.forkScoped(run(reading("park"), quick))
      // Seen within the transaction that parks the other one: it may still be open then.
      yield* eventually(Effect.map(parkedOf(reading("park")), (parked) => parked.length === 1))
      yield* eventually(Effect.sync(() => seen.length === 1))
      assert.deepStrictEqual(seen, [8])
      assert.include((yield* parkedOf(reading("park")))[0]?.error, "larger than 12 MiB")
    })))
})
