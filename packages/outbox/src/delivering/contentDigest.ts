/**
 * A digest of what an event says, to compare it by on its two ways: the same for the same content however it is written, and without the
 * time, which each way takes for itself.
 *
 * There is one for envelopes and one for rows. They differ; a destination is compared by one of them on both ways.
 */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import { createHash } from "node:crypto"

/** JSON text with the members of each object in one order: jsonb keeps another than the one they were written in. */
const canonical = (json: unknown): string =>
  Array.isArray(json)
    ? `[${json.map(canonical).join()}]`
    : typeof json === "object" && json !== null
    ? `{${
      Object.entries(json)
        .toSorted(([a], [b]) => a < b ? -1 : 1)
        .map(([name, value]) => `${JSON.stringify(name)}:${canonical(value)}`)
        .join()
    }}`
    : JSON.stringify(json)

const asUuid = (text: string | null) => text === null ? null : text.replaceAll("-", "").toLowerCase()

/** Of what an external publisher is given. */
export const digestOfEnvelope = (envelope: EventEnvelope): string => {
  const content = [
    envelope.eventType,
    envelope.schemaVersion,
    asUuid(envelope.correlationId),
    envelope.aggregateType,
    envelope.aggregateId,
    asUuid(envelope.traceId),
    envelope.headers,
    envelope.data
  ]
  return createHash("sha256").update(canonical(content)).digest("hex")
}

/** Of a row with the columns of the outbox: an SQL expression. */
export const digestOfRow = (sql: SqlClient): Fragment =>
  sql.literal(
    `encode(sha256(convert_to(jsonb_build_array(event_type, coalesce(schema_version, 1), correlation_id, aggregate_type, aggregate_id,
      trace_id, coalesce(headers, '{}'), event_data)::text, 'UTF8')), 'hex')`
  )
