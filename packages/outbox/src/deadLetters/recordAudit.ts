/** Keeps what somebody did by hand: who, when, to what, to how many. In the transaction that is open, with the deed itself. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"

export interface Deed {
  readonly by: string
  /** At most 30 characters. */
  readonly action:
    | "redrive"
    | "discard"
    | "unblock"
    | "pause"
    | "resume"
    | "purge"
    | "retry parked"
    | "discard parked"
    | "rebuild"
    | "switch"
    | "repair log"
  /** What it was done to, as JSON. */
  readonly filter: unknown
  readonly count: number
}

export const recordAudit = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*({ action, by, count, filter }: Deed) {
    const time = yield* now
    yield* sql`INSERT INTO ${table.audit} (at, by, action, filter, count)
      VALUES (${time}, ${by}, ${action}, ${JSON.stringify(filter)}::jsonb, ${count}::bigint)`
  })
