/** What is emitted, with its options, and the row that is written for it. */
import type { OnDead } from "@zakops/events/DeliverySettings"
import type { Event } from "@zakops/events/EventDefinition"
import type * as Duration from "effect/Duration"
import type { Mode } from "../RolloutModes.ts"

export interface EmitOptions {
  /** What the event belongs to: the deal, the order, the request. A UUID. */
  readonly correlationId: string
  /** The event's own id, a UUID; a new UUID v7 when it is not given. The deduplication key of every destination and consumer. */
  readonly id?: string | undefined
  /** A UUID, or 32 hexadecimal digits; the trace id of the current span when it is not given. */
  readonly traceId?: string | undefined
  /** Carried along to destinations and consumers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Instead of `OUTBOX_MAX_ATTEMPTS` and what the definition says, for this event: a whole number from 1 up. */
  readonly maxAttempts?: number | undefined
  /**
   * Delivered one after another are all events with this key, of 1 to 200 characters; null for no order. Instead of the definition's
   * `orderBy`. The key is locked until the transaction ends, so that the order of commits is the order of delivery.
   */
  readonly orderingKey?: string | null | undefined
  /** Not delivered before. With an ordering key, those behind it wait as well. */
  readonly deliverAt?: Date | undefined
  /** As `deliverAt`, from now on, by the database's clock. */
  readonly delay?: Duration.Input | undefined
  /** Dead, if not delivered by then. */
  readonly expiresAt?: Date | undefined
  /** A second event of the same type with this key, of 1 to 200 characters, is not written: its `emit` gives the id of the first. */
  readonly dedupeKey?: string | undefined
  /** For how long `dedupeKey` stands, from the first event on. One day unless given. */
  readonly dedupeWindow?: Duration.Input | undefined
}

/** One event of an `emitAll`. */
export interface Emission extends EmitOptions {
  readonly event: Event
}

/** A row to be written. `data` and `headers` are JSON text, times ISO 8601, durations milliseconds. */
export interface NewEntry {
  readonly id: string
  /** By whoever emits, who may have given it to another one as well. */
  readonly isIdGiven: boolean
  readonly correlationId: string
  readonly aggregateType: string | null
  readonly aggregateId: string | null
  readonly eventType: string
  readonly schemaVersion: number
  readonly data: string
  readonly traceId: string | null
  readonly headers: string
  readonly maxAttempts: number
  readonly retryWaits: ReadonlyArray<number> | null
  readonly orderingKey: string | null
  readonly onDead: OnDead
  readonly deliverAt: string | null
  readonly delay: number
  readonly expiresAt: string | null
  readonly dedupe: { readonly key: string; readonly window: number } | null
  /** `outbox` for all that are only to be written. */
  readonly mode: Mode
}
