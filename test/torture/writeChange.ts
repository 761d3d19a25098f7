/**
 * One business change with its events: to the outbox whose destination is outside, and to the log, by the log's own outbox or by the event
 * store. The same ids everywhere. Runs in the caller's transaction.
 */
import type { EventStore } from "@zakops/event-store/EventStore"
import type { Outbox } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Fate } from "./events.ts"
import { Booked, Moved } from "./events.ts"
import { maxAttempts, poisonedAttempts } from "./settings.ts"

export interface Change {
  readonly ref: string
  /** Of its events. None where they are given by the event store, or by whoever emits. */
  readonly ids: ReadonlyArray<string>
  /** The ordering key; null for none. */
  readonly key: string | null
  /** The stream to append to, instead of emitting to the log's outbox. */
  readonly account: string | null
  /** One for each event. */
  readonly fates: ReadonlyArray<Fate>
}

const attemptsFor = (fate: Fate) => fate === "poisoned" ? poisonedAttempts : maxAttempts

interface Services {
  readonly outside: Outbox["Service"]
  readonly log: Outbox["Service"]
  readonly store: EventStore["Service"]
}

/** Gives the ids of the events. */
export const writeChange = ({ log, outside, store }: Services) =>
  Effect.fnUntraced(function*({ account, fates, ids, key, ref }: Change) {
    const sql = yield* SqlClient
    const written: Array<string> = []
    if (account !== null) {
      const events = yield* Effect.forEach(fates, (fate) => Booked.make({ fate }, { aggregateId: account }))
      const appended = yield* store.append({ aggregateType: "account", aggregateId: account }, "any", events, {
        correlationId: ref
      })
      written.push(...appended.ids)
      yield* outside.emitAll(events.map((event, index) => ({
        event,
        id: written[index],
        correlationId: ref,
        maxAttempts: attemptsFor(fates[index] ?? "taken")
      })))
    } else {
      const emissions = yield* Effect.forEach(
        fates,
        (fate, index) =>
          Effect.map(Moved.make({ key: key ?? ref, fate }), (event) => ({
            event,
            id: ids[index],
            correlationId: ref,
            maxAttempts: attemptsFor(fate),
            ...key === null ? { orderingKey: null } : {}
          }))
      )
      written.push(...yield* outside.emitAll(emissions))
      yield* log.emitAll(emissions.map((emission, index) => Object.assign(emission, { id: written[index] })))
    }
    // The places are looked up now that the key is locked: two transactions that thought themselves alone would get the same.
    yield* sql`
      INSERT INTO torture.business (event_id, ref, key, n, fate)
      SELECT event.id, ${ref}::uuid, ${key}, CASE WHEN ${key}::text IS NOT NULL THEN last.n + event.number END, event.fate
      FROM unnest(${written}::uuid[], ${[...fates]}::text[]) WITH ORDINALITY AS event (id, fate, number),
        (SELECT coalesce(max(n), 0) AS n FROM torture.business WHERE key = ${key}) AS last`
    return written
  })
