/**
 * The port through which the outbox hands events out, and the things a destination can say when it does not take one.
 *
 * A transactional publisher writes to the same database, in the transaction that marks the entry delivered: exactly once. An external
 * one (a broker, a webhook) is called with no transaction open: at least once, with the event's id as the deduplication key.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Fragment } from "effect/sql/Statement"
import type { NewerThanThisBuild } from "./EventDefinition.ts"
import type { EventEnvelope } from "./EventEnvelope.ts"

const why = { reason: Schema.String, cause: Schema.optional(Schema.Defect()) }

/**
 * This event was not taken, and may be later: it is retried on the schedule, and charged as an attempt. `retryAfter` is the wait that the
 * destination asks for instead of the schedule's; whether there is another attempt at all stays with the schedule.
 */
export class Transient extends Schema.TaggedError<Transient>()("Transient", {
  ...why,
  retryAfter: Schema.optional(Schema.Duration)
}) {
  override get message() {
    return this.reason
  }
}

/** This event will never be taken: it is dead now. */
export class Permanent extends Schema.TaggedError<Permanent>()("Permanent", why) {
  override get message() {
    return this.reason
  }
}

/** The destination takes nothing at the moment: the entry is handed back, no attempt is charged, and one at a time probes it. */
export class TransportDown extends Schema.TaggedError<TransportDown>()("TransportDown", why) {
  override get message() {
    return this.reason
  }
}

/**
 * `NewerThanThisBuild` comes of a publisher that decodes: the entry is parked, uncharged, until a process whose build knows that version
 * takes it up.
 */
export type PublishError = Transient | Permanent | TransportDown | NewerThanThisBuild

/** Delivers one event at a time to somewhere outside the database. */
export interface External {
  readonly _tag: "External"
  /** What the destination is called in logs and errors. */
  readonly destination: string
  /** What telemetry calls the system behind it, as the conventions of OpenTelemetry do: `kafka`, `rabbitmq`. `zakops` unless given. */
  readonly system?: string | undefined
  /**
   * Succeeds when the destination has the event for good. May be called again for the same `envelope.id`, also at the same time from
   * another process after a lease has expired. Anything it dies of counts as `Transient`.
   */
  readonly publish: (envelope: EventEnvelope) => Effect.Effect<void, PublishError>
}

/** Delivers by SQL to a table of the same database. */
export interface Transactional {
  readonly _tag: "Transactional"
  readonly destination: string
  /**
   * One statement that copies all rows of the relation `entries` to where they belong, for example
   * `INSERT INTO my_events (id, data) SELECT id, event_data FROM ${entries}`. The relation has the columns of the outbox: `id`,
   * `correlation_id`, `aggregate_type`, `aggregate_id`, `event_type`, `schema_version`, `event_data`, `trace_id`, `headers`,
   * `created_at`, `seq`. It must leave the rows of an id that it already has alone.
   */
  readonly copyFrom: (entries: Fragment) => Fragment
  /** Runs after the commit of a delivery, to wake readers. Must be short, and cannot fail. */
  readonly afterCommit: Effect.Effect<void>
}

/** Where the outbox delivers to. `@zakops/event-store` provides the default: the event log. */
export class EventPublisher extends Context.Service<EventPublisher, External | Transactional>()(
  "@zakops/events/EventPublisher"
) {}
