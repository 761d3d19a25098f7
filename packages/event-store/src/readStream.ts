/** Reads one stream by its versions. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import { columns, fromRows } from "./RecordedEvent.ts"
import type { LogRow } from "./RecordedEvent.ts"
import type { StreamId } from "./StreamId.ts"

export type Direction = "forward" | "backward"

/**
 * At most `limit` events from version `from` (itself included) in that direction. Sees what the open transaction has appended. Uses the
 * index agent_events_stream.
 */
export const readStream = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(
    { aggregateId, aggregateType }: StreamId,
    direction: Direction,
    from: number,
    limit: number
  ) {
    const time = yield* now
    const part = direction === "forward"
      ? sql`log.stream_version >= ${from}::float8::bigint ORDER BY log.stream_version`
      : sql`log.stream_version <= ${from}::float8::bigint ORDER BY log.stream_version DESC`
    const rows = yield* sql<LogRow>`
      SELECT ${columns(sql, time)} FROM ${table.agentEvents} AS log
      WHERE log.aggregate_type = ${aggregateType} AND log.aggregate_id = ${aggregateId} AND ${part}
      LIMIT ${limit}::int`
    return yield* Effect.fromResult(fromRows(rows))
  })
