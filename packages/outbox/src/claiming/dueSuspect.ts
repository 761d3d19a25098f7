/** The entry that has made two processes crash and is due: it is delivered alone. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import type { Selection } from "./Selection.ts"
import { destinationOpen, dueTime, goingTo, noMark, typePaused } from "./Selection.ts"

/** True of an entry `o` that may be delivered alone now; one that has a key only where it is the first of it. */
const isSuspect = (db: Database, destination: string, route: string | null, time: Fragment): Fragment => {
  const { sql, table } = db
  return sql`NOT finished AND crashes >= 2 AND ${goingTo(db, route)} AND ${sql.literal(dueTime)} <= ${time}
    AND (status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < ${time})
    AND (expires_at IS NULL OR expires_at > ${time})
    AND NOT ${typePaused(db)} AND ${destinationOpen(db, destination)}
    AND (ordering_key IS NULL OR NOT EXISTS (
      SELECT FROM ${table.outbox} earlier
      WHERE earlier.ordering_key = o.ordering_key AND (NOT earlier.finished OR earlier.blocks) AND earlier.seq < o.seq
    ))`
}

/** At most one, from the index outbox_suspects. */
export const dueSuspect = (db: Database, destination: string, route: string | null): Effect.Effect<Selection> =>
  Effect.map(db.now, (time) => ({
    limit: 1,
    keyed: true,
    mark: noMark(db),
    ctes: db.sql`
      due AS MATERIALIZED (
        SELECT ctid FROM ${db.table.outbox} o WHERE ${isSuspect(db, destination, route, time)}
        ORDER BY seq LIMIT 1 FOR UPDATE OF o SKIP LOCKED
      ),
      taken AS MATERIALIZED (SELECT ctid FROM due),
      moved AS (SELECT WHERE false)`
  }))

/** Whether there is one. */
export const hasSuspect = (db: Database, destination: string, route: string | null) =>
  Effect.gen(function*() {
    const time = yield* db.now
    const rows = yield* db.sql`SELECT FROM ${db.table.outbox} o WHERE ${
      isSuspect(db, destination, route, time)
    } LIMIT 1`
    return rows.length > 0
  })
