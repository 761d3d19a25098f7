/** Aggregates, the events of one by their versions, and its state: what the streams of the log hold. */
import type { Database } from "@zakops/migrations/Database"
import { InvalidRequest } from "@zakops/outbox"
import { checkText } from "@zakops/outbox/deadLetters/DeadFilter"
import { splitPage } from "@zakops/outbox/deadLetters/splitPage"
import * as Effect from "effect/Effect"
import type { StreamSummary } from "../api/streams.ts"
import type { PageOptions } from "../Entries.ts"
import type { Page, StreamName } from "../EventStreams.ts"
import type { LoggedRow } from "./loggedColumns.ts"
import { loggedColumns, toLogged } from "./loggedColumns.ts"
import { forms, fromCursor, pageLimit, toCursor } from "./pageCursor.ts"

export const checkStream = ({ aggregateId, aggregateType }: StreamName) =>
  Effect.andThen(checkText("aggregateType", aggregateType), checkText("aggregateId", aggregateId))

/** Walks the primary key of zakops.streams. */
export const listStreams = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*(
    filter: { readonly aggregateType?: string | undefined; readonly from?: string | undefined },
    page: PageOptions
  ) {
    const limit = yield* pageLimit(page.limit)
    yield* checkText("aggregateType", filter.aggregateType ?? "")
    yield* checkText("from", filter.from ?? "")
    if (filter.from !== undefined && filter.aggregateType === undefined) {
      return yield* new InvalidRequest({ field: "from", problem: "needs an aggregateType" })
    }
    const after = yield* fromCursor("streams", [forms.text, forms.text], page.after)
    const conditions = [
      filter.aggregateType === undefined ? [] : [sql`aggregate_type = ${filter.aggregateType}`],
      filter.from === undefined ? [] : [sql`aggregate_id >= ${filter.from}`],
      after === undefined ? [] : [sql`(aggregate_type, aggregate_id) > (${after[0]}, ${after[1]})`]
    ].flat()
    const rows = yield* sql<{ aggregateType: string; aggregateId: string; version: string }>`
      SELECT aggregate_type AS "aggregateType", aggregate_id AS "aggregateId", version::text AS version FROM ${table.streams}
      WHERE ${conditions.length === 0 ? sql`true` : sql.and(conditions)}
      ORDER BY aggregate_type, aggregate_id LIMIT ${limit + 1}::int`
    const { last, page: shown } = splitPage(rows, limit)
    return {
      items: shown.map(({ aggregateId, aggregateType, version }): StreamSummary => ({
        aggregateType,
        aggregateId,
        version: BigInt(version)
      })),
      next: last === undefined ? null : toCursor("streams", [last.aggregateType, last.aggregateId])
    } satisfies Page<StreamSummary>
  })

const lastVersion = 9_223_372_036_854_775_807n

/** By the index agent_events_stream. */
export const listStreamEvents = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*(stream: StreamName, options: {
    readonly from?: bigint | undefined
    readonly direction?: "forward" | "backward" | undefined
    readonly limit?: number | undefined
  }) {
    const limit = yield* pageLimit(options.limit)
    yield* checkStream(stream)
    const forward = options.direction !== "backward"
    const from = options.from ?? (forward ? 1n : lastVersion)
    if (from < 0n || from > lastVersion) {
      return yield* new InvalidRequest({ field: "from", problem: `is ${from}, which is no version` })
    }
    const rows = yield* sql<LoggedRow>`
      SELECT ${loggedColumns(sql)} FROM ${table.agentEvents} AS log
      WHERE log.aggregate_type = ${stream.aggregateType} AND log.aggregate_id = ${stream.aggregateId} AND ${
      forward
        ? sql`log.stream_version >= ${String(from)}::bigint ORDER BY log.stream_version`
        : sql`log.stream_version <= ${String(from)}::bigint ORDER BY log.stream_version DESC`
    } LIMIT ${limit + 1}::int`
    return {
      items: rows.slice(0, limit).map(toLogged),
      next: rows[limit]?.streamVersion ?? null
    }
  })
