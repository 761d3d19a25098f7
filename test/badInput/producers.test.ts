/** Rows of plain SQL: each arrives, or Postgres or the dead letter says what is wrong with it; none stops the processor. */
import { assert, layer } from "@effect/vitest"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { OutboxProcessor } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { emitDeals } from "../support/outbox.ts"
import type { Arrived } from "./destinations.ts"
import { arrivedAtPublisher, arrivedInLog, awaitArrival, layerToLog, layerToPublisher } from "./destinations.ts"
import type { Expectation } from "./expectations.ts"
import type { ProducerCase } from "./producerCases.ts"
import { nullable, producerCases } from "./producerCases.ts"

/** Inserts the row, and behind it, where it is asked for, a healthy one with the same key. Gives that one's id. */
const insert = (id: string, { columns, sameKey }: ProducerCase) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const row = {
      id: `'${id}'`,
      correlation_id: `'${id}'`,
      event_type: "'deal.made'",
      event_data: `'{"dealId": "d", "title": "t"}'`,
      ...columns
    }
    yield* sql.unsafe(
      `INSERT INTO zakops.outbox (${Object.keys(row).join()}) OVERRIDING SYSTEM VALUE VALUES (${
        Object.values(row).join()
      })`
    )
    if (sameKey !== true) return []
    const behind = randomUUID()
    yield* sql.unsafe(
      `INSERT INTO zakops.outbox (id, correlation_id, ordering_key) VALUES ('${behind}', '${behind}', ${
        columns["ordering_key"]
      })`
    )
    return [behind]
  })

const check = (one: ProducerCase, expected: Expectation, arrived: Arrived) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const { drain } = yield* OutboxProcessor
    const id = randomUUID()
    const before = yield* emitDeals(2)
    const inserted = yield* Effect.result(sql.withTransaction(insert(id, one)))
    const after = yield* emitDeals(2)
    if (expected._tag === "RefusedByPostgres") {
      assert.isTrue(Result.isFailure(inserted))
      if (Result.isFailure(inserted)) {
        assert.strictEqual(SqlErrors.sqlState(inserted.failure), expected.state, SqlErrors.serverText(inserted.failure))
        assert.match(SqlErrors.serverText(inserted.failure), expected.says)
      }
    }
    const behind = Result.isSuccess(inserted) ? inserted.success : []
    if (Result.isFailure(inserted) && expected._tag !== "RefusedByPostgres") {
      assert.fail(SqlErrors.serverText(inserted.failure))
    }
    yield* drain
    const own = expected._tag === "Delivered" ? [id] : []
    yield* awaitArrival(arrived, [...before, ...own, ...behind, ...after])
    const [row] = yield* sql<{ status: string; error: string }>`
      SELECT coalesce(status, '') AS status, coalesce(error_message, '') AS error FROM zakops.outbox WHERE id = ${id}::uuid`
    if (expected._tag === "Delivered") assert.strictEqual(row?.status, "delivered")
    if (expected._tag === "Dead") {
      assert.strictEqual(row?.status, "dead")
      assert.match(row?.error ?? "", expected.says)
    }
  }).pipe(
    // Whatever it was, the next case begins with none of it.
    Effect.ensuring(Effect.orDie(Effect.flatMap(SqlClient, (sql) => sql`DELETE FROM zakops.outbox`)))
  )

layer(layerToLog, { excludeTestServices: true })("to the log,", (it) => {
  let arrived: Arrived | undefined
  it.effect.each(producerCases)("$name", (one) =>
    Effect.gen(function*() {
      arrived ??= yield* arrivedInLog
      yield* check(one, one.expected, arrived)
    }))

  it.effect("the table has no nullable column that the cases do not know", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const rows = yield* sql<{ name: string }>`
        SELECT column_name::text AS name FROM information_schema.columns
        WHERE table_schema = 'zakops' AND table_name = 'outbox' AND is_nullable = 'YES'`
      assert.deepStrictEqual(rows.map(({ name }) => name).toSorted(), [...nullable].toSorted())
    }))
})

layer(layerToPublisher, { excludeTestServices: true })("to a publisher,", (it) => {
  it.effect.each(producerCases)(
    "$name",
    (one) => Effect.flatMap(arrivedAtPublisher, (arrived) => check(one, one.external ?? one.expected, arrived))
  )
})
