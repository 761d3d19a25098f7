/** Replication slots whose reader is gone: they keep WAL until the disk is full, and old rows of the catalogue. */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, size } from "./Check.ts"

const name = "replication slots"

export const replication: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { sql }, limits }) {
    const rows = yield* sql<
      { slot: string; quoted: string; active: boolean; kind: string; behind: number; lost: boolean; holds: boolean }
    >`
      SELECT slot_name::text AS slot, quote_literal(slot_name) AS quoted, active, slot_type AS kind,
        coalesce(CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END, 0)::float8 AS behind,
        coalesce(wal_status = 'lost', false) AS lost, xmin IS NOT NULL OR catalog_xmin IS NOT NULL AS holds
      FROM pg_replication_slots WHERE NOT temporary ORDER BY behind DESC LIMIT 20`
    const found = rows.filter(({ active, behind, lost }) => lost || behind >= limits.slotBytes || !active && behind > 0)
    return orOk(
      found.map(({ active, behind, holds, kind, lost, quoted, slot }) =>
        finding(
          name,
          behind >= limits.slotBytes ? "serious" : "warning",
          lost
            ? `the replication slot ${slot} has lost WAL that it needs`
            : active
            ? `the replication slot ${slot} is far behind`
            : `nobody reads the replication slot ${slot}`,
          `${kind}, ${size(behind)} of WAL are kept for it${holds ? ", and old rows" : ""}`,
          active
            ? "Look after its reader"
            : `Start its reader, or where it is not needed any more: SELECT pg_drop_replication_slot(${quoted})`
        )
      ),
      name,
      rows.length === 0 ? "there are none" : "all are read"
    )
  })
}
