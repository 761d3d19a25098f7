/** Which claims are waited for until they are on disk, on a server whose standby never comes: there nothing ever is that is waited for. */
import { assert, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { claim, eventually } from "../support/outbox.ts"
import * as OwnServer from "../support/OwnServer.ts"

const layerDatabase = OwnServer.layer({
  fsync: "off",
  synchronous_commit: "local",
  synchronous_standby_names: "nobody"
})

/** On a connection that commits as Postgres does when nothing else is said. */
const asItComes = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(SqlClient, (sql) => Effect.andThen(sql`SET synchronous_commit = 'on'`, self)).pipe(
    Effect.provide(Layer.unwrap(Effect.map(OwnServer.ServerUrl, (url) => OwnServer.clientOf(url, 1))))
  )

const insert = Effect.fnUntraced(function*(key: string | null) {
  const sql = yield* SqlClient
  const id = randomUUID()
  yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, ordering_key) VALUES (${id}, ${id}, 'a', '{}', ${key})`
  return id
})

const claimed = claim(10, Duration.minutes(1))

const waiting = Effect.flatMap(
  SqlClient,
  (sql) => sql<{ pid: number }>`SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'`
)

layer(layerDatabase, { excludeTestServices: true })("a claim", (it) => {
  it.effect("of what has no key is not waited for", () =>
    Effect.gen(function*() {
      const id = yield* insert(null)
      const [entries, afterwards] = yield* asItComes(Effect.all([
        claimed,
        Effect.flatMap(SqlClient, (sql) => sql`SELECT current_setting('synchronous_commit') AS commit`)
      ]))
      assert.deepStrictEqual(entries.map((entry) => entry.id), [id])
      // What else the connection does is waited for as ever.
      assert.deepStrictEqual(afterwards, [{ commit: "on" }])
    }))

  it.effect("of what has one is: whoever took it after a crash would deliver it beside the one who has it", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const id = yield* insert("k")
      const claiming = yield* Effect.forkChild(asItComes(claimed))
      yield* eventually(Effect.map(waiting, ({ length }) => length === 1))
      assert.isUndefined(claiming.pollUnsafe())
      yield* sql`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`
      const entries = yield* Fiber.join(claiming)
      assert.deepStrictEqual(entries.map((entry) => entry.id), [id])
    }))
})
