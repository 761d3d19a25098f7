/** A projection's own row of zakops.projections: its status, and what is asked of it. */
import type { Database } from "@zakops/migrations/Database"
import { errorText } from "@zakops/outbox/delivering/errorText"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import type { Projection, ProjectionStopped } from "./Projection.ts"

/** `building`: it has not caught up yet. `live`: the one to be read. `retired`: another version is live. */
export type Status = "building" | "live" | "retired"

/**
 * True for the version that is read: the live one, also while it is being rebuilt in place. One that was called back is not, before it
 * is live.
 */
export const isRead = (sql: SqlClient): Fragment =>
  sql.literal("(status = 'live' OR (status = 'building' AND live_at IS NOT NULL AND NOT switch_requested))")

export const projectionRecord = (
  { now, sql, table }: Database,
  { name, reset, version }: Projection<unknown, unknown>
) => {
  const mine = sql`name = ${name} AND version = ${version}`
  return {
    /** A version older than the live one is not taken for news. */
    register: Effect.gen(function*() {
      const time = yield* now
      yield* sql`
        INSERT INTO ${table.projections} (name, version, status, can_reset, created_at)
        SELECT ${name}, ${version}::int, CASE WHEN EXISTS (
          SELECT 1 FROM ${table.projections} WHERE name = ${name} AND version > ${version} AND ${isRead(sql)}
        ) THEN 'retired' ELSE 'building' END, ${reset !== undefined}, ${time}
        ON CONFLICT (name, version) DO UPDATE SET can_reset = excluded.can_reset, error = NULL, error_position = NULL,
          error_event_id = NULL`
    }),
    control: Effect.map(
      sql<{ status: Status; resetRequested: boolean }>`
        SELECT status, reset_requested AS "resetRequested" FROM ${table.projections} WHERE ${mine}`,
      ([row]) => row ?? { status: "building" as const, resetRequested: false }
    ),
    wasReset: (subscription: string) =>
      Effect.andThen(
        // One that was retired meanwhile rests, to be built from the start when it is called back.
        sql`UPDATE ${table.projections} SET reset_requested = false,
          status = CASE status WHEN 'retired' THEN status ELSE 'building' END WHERE ${mine}`,
        sql`DELETE FROM ${table.parkedEvents} WHERE subscription = ${subscription}`
      ),
    withdrawReset: sql`UPDATE ${table.projections} SET reset_requested = false WHERE ${mine}`,
    stoppedAt: (error: ProjectionStopped) =>
      sql`UPDATE ${table.projections} SET error = ${errorText(error.message)}, error_position = ${error.position},
        error_event_id = ${error.eventId}::uuid WHERE ${mine}`,
    /** Live, unless a higher version is read and nobody has called this one back. One at a time of each name. */
    becomeLive: Effect.gen(function*() {
      const time = yield* now
      const versions = yield* sql<{ version: number; read: boolean; called: boolean }>`
        SELECT version, ${
        isRead(sql)
      } AS read, switch_requested AS called FROM ${table.projections} WHERE name = ${name} ORDER BY version FOR UPDATE`
      const called = versions.some((one) => one.version === version && one.called)
      const replaced = !called && versions.some((one) => one.version > version && one.read)
      const status: Status = replaced ? "retired" : "live"
      yield* sql`UPDATE ${table.projections} SET status = ${status}, switch_requested = false,
        live_at = CASE WHEN ${status} = 'live' THEN ${time} ELSE live_at END WHERE ${mine}`
      if (status === "live") {
        yield* sql`UPDATE ${table.projections} SET status = 'retired' WHERE name = ${name} AND version <> ${version} AND ${
          isRead(sql)
        }`
      }
      return status
    })
  }
}
