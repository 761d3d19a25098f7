/**
 * Specifies a projection in given / when / then against a real database, in any test runner. All of it runs in one transaction that is
 * rolled back at the end, so that specifications leave nothing behind.
 *
 * @example
 * yield* ProjectionSpecification.of(pipeline)
 *   .given(yield* DealCreated.make(deal))
 *   .when(yield* DealWon.make({ dealId: deal.dealId }))
 *   .then(sql`SELECT stage, deals FROM pipeline`, [{ stage: "won", deals: 1 }])
 */
import type { Event } from "@zakops/events/EventDefinition"
import { inRolledBackTransaction } from "@zakops/outbox/emitting/inRolledBackTransaction"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import type { Projection } from "../Projection.ts"
import type { RecordedEvent } from "../RecordedEvent.ts"

const recorded = (event: Event, index: number): RecordedEvent => ({
  envelope: {
    id: randomUUID(),
    correlationId: randomUUID(),
    aggregateType: event.aggregateType,
    aggregateId: event.aggregateId,
    eventType: event.type,
    schemaVersion: event.schemaVersion,
    data: JSON.parse(event.json),
    traceId: null,
    headers: {},
    createdAt: new Date(0),
    orderingKey: null,
    sequence: null
  },
  streamVersion: null,
  cursor: { xid: "1", position: BigInt(index + 1) }
})

/** The events that the projection's filter lets pass, as `run` would hand them to it. */
const seenBy = ({ filter }: Projection<unknown, unknown>, events: ReadonlyArray<Event>) =>
  events.filter((event) =>
    (filter.types?.includes(event.type) ?? true) &&
    (filter.aggregateType === undefined || filter.aggregateType === event.aggregateType) &&
    (filter.aggregateId === undefined || filter.aggregateId === event.aggregateId)
  ).map(recorded)

export const of = <E, R>(projection: Projection<E, R>) => ({
  /** Events that are handled one by one. */
  given: (...history: ReadonlyArray<Event>) => ({
    /** Events that are handled in one batch. */
    when: (...batch: ReadonlyArray<Event>) => ({
      /** Whatever the read model answers to `query` then. */
      // oxlint-disable-next-line unicorn/no-thenable -- given, when, then: nobody awaits it
      then: <A, E2, R2>(query: Effect.Effect<A, E2, R2>, expected: NoInfer<A>) =>
        Effect.gen(function*() {
          const answer = yield* inRolledBackTransaction(yield* SqlClient)(Effect.gen(function*() {
            for (const event of seenBy(projection, history)) yield* projection.handle([event])
            const together = seenBy(projection, batch)
            if (Arr.isReadonlyArrayNonEmpty(together)) yield* projection.handle(together)
            return yield* query
          }))
          // Rows are of a class of their own.
          assert.deepEqual(structuredClone(answer), expected)
        })
    })
  })
})
