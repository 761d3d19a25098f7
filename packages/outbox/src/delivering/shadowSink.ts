/**
 * Where processors deliver the outbox copy of an event whose type is in shadow mode: to zakops.shadow_deliveries instead of the
 * destination, as the other half of a comparison (`RolloutReport`). A copy that comes twice leaves one row.
 */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { Transient } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import { digestOfEnvelope, digestOfRow } from "./contentDigest.ts"

/** For an external destination: called in place of its publisher, with the copy of an event in shadow mode. */
export const shadowSink = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(
    function*(envelope: EventEnvelope) {
      const time = yield* now
      yield* sql`
        INSERT INTO ${table.shadowDeliveries} (event_id, path, event_type, digest, at)
        VALUES (${envelope.id}, 'outbox', ${envelope.eventType}, ${digestOfEnvelope(envelope)}, ${time})
        ON CONFLICT (event_id, path) DO NOTHING`
    },
    Effect.mapError((cause) =>
      new Transient({ reason: `the comparison was not written: ${SqlErrors.serverText(cause)}`, cause })
    )
  )

/**
 * For a destination in the same database: the statement that records the shadow copies among the rows of `delivered`, which has the columns
 * of the outbox. It belongs into the statement that marks them delivered; the publisher is to be given the other rows only.
 */
export const recordShadows = ({ sql, table }: Database, delivered: Fragment, time: Fragment): Fragment =>
  sql`INSERT INTO ${table.shadowDeliveries} (event_id, path, event_type, digest, at)
    SELECT id, 'outbox', event_type, ${digestOfRow(sql)}, ${time} FROM ${delivered} WHERE shadow
    ON CONFLICT (event_id, path) DO NOTHING`
