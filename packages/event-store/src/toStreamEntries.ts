/** From the events of an append to the rows that are written: every check that needs no database. */
import type { Event } from "@zakops/events/EventDefinition"
import { InvalidEvent } from "@zakops/events/InvalidEvent"
import type { EmitOptions, NewEntry } from "@zakops/outbox/emitting/Emission"
import type { EntrySettings } from "@zakops/outbox/emitting/toEntry"
import { toEntry } from "@zakops/outbox/emitting/toEntry"
import { uuid } from "@zakops/outbox/emitting/identifiers"
import { originHere } from "@zakops/outbox/emitting/Origin"
import * as Effect from "effect/Effect"
import type { StreamId } from "./StreamId.ts"
import { toText } from "./StreamId.ts"

/** As for `emit`, for all events of an append. An append is never left out in part, so there is no deduplication key. */
export interface AppendOptions extends Omit<EmitOptions, "id" | "correlationId" | "dedupeKey" | "dedupeWindow"> {
  /** A UUID; the aggregate's id when it is not given, which then has to be one. */
  readonly correlationId?: string | undefined
}

/** Fails with `InvalidEvent`, which names the field, where an event cannot be written or belongs to another stream. */
export const toStreamEntries = (settings: EntrySettings, destination: string) => {
  const here = originHere(destination)
  return Effect.fnUntraced(
    function*(stream: StreamId, events: ReadonlyArray<Event>, options: AppendOptions | undefined) {
      const origin = yield* here
      const correlationId = options?.correlationId ?? stream.aggregateId
      const refuse = (eventType: string, field: string, problem: string) =>
        new InvalidEvent({ eventType, field, problem })
      const [first] = events
      if (first === undefined) return yield* refuse("", "events", "are none: an append takes at least one")
      if (options?.correlationId === undefined && !uuid.test(correlationId)) {
        const problem = `is not given, and the aggregate's id ${
          JSON.stringify(stream.aggregateId)
        } is no UUID to stand for it`
        return yield* refuse(first.type, "correlationId", problem)
      }
      const entries: Array<NewEntry> = []
      for (const event of events) {
        for (const field of ["aggregateType", "aggregateId"] as const) {
          if (event[field] !== null && event[field] !== stream[field]) {
            return yield* refuse(
              event.type,
              field,
              `is ${JSON.stringify(event[field])}, and the stream is ${toText(stream)}`
            )
          }
        }
        const emission = { ...options, correlationId, event: { ...event, ...stream } }
        entries.push(yield* Effect.fromResult(toEntry(emission, origin, settings)))
      }
      return entries
    }
  )
}
