/** Events with ordering keys, and what must never be true of them. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EmitOptions } from "@zakops/outbox"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { DealMade } from "./events.ts"

/** Emits one event for each key, in one transaction, and gives their ids. */
export const emitKeyed = Effect.fnUntraced(
  function*(keys: ReadonlyArray<string | null>, options: Partial<EmitOptions> = {}) {
    const { transact } = yield* TransactionalPublisher
    const outbox = yield* Outbox
    const dealId = randomUUID()
    const event = yield* DealMade.make({ dealId, title: "a deal" })
    return yield* transact(
      outbox.emitAll(keys.map((orderingKey) => ({ event, correlationId: dealId, ...options, orderingKey })))
    )
  }
)

/** Keys whose first open entry was set aside: nobody would ever take it. */
export const stuckKeys = Effect.flatMap(SqlClient, (sql) =>
  sql`SELECT ordering_key FROM (
    SELECT DISTINCT ON (ordering_key) ordering_key, waits_for FROM zakops.outbox
    WHERE ordering_key IS NOT NULL AND (NOT finished OR blocks) ORDER BY ordering_key, seq
  ) AS first WHERE waits_for = 'key'`)

/** Where an event's delivery was before that of one with a smaller seq of the same key. `order` is the order of successes. */
export const overtakings = Effect.fnUntraced(function*(order: ReadonlyArray<string>) {
  const sql = yield* SqlClient
  return yield* sql`
    WITH placed AS (
      SELECT o.ordering_key, o.seq, array_position(${order}::uuid[], o.id) AS place FROM zakops.outbox o
      WHERE o.ordering_key IS NOT NULL AND array_position(${order}::uuid[], o.id) IS NOT NULL
    )
    SELECT a.seq, b.seq FROM placed a JOIN placed b USING (ordering_key) WHERE a.seq < b.seq AND a.place > b.place`
})

/** Of each key the sequences of its events, in the order in which they came first: what comes a second time is passed over. */
export const firstSequences = (received: ReadonlyArray<EventEnvelope>): ReadonlyMap<string, ReadonlyArray<number>> => {
  const seen = new Set<string>()
  const sequences = new Map<string, Array<number>>()
  for (const { id, orderingKey, sequence } of received) {
    if (seen.has(id)) continue
    seen.add(id)
    const key = orderingKey ?? "none"
    sequences.set(key, [...sequences.get(key) ?? [], Number(sequence)])
  }
  return sequences
}
