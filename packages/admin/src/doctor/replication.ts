/**
 * Replication slots that keep what costs: WAL until the disk is full, because their reader is gone or far behind; or old rows, which vacuum
 * leaves for them although their reader is there, because a standby's long query may still see them.
 */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, size, transactionsAgo } from "./Check.ts"
import type { DoctorLimitsShape } from "./DoctorLimits.ts"
import type { Finding } from "./Finding.ts"
import { endLongQueries } from "./standbys.ts"

const name = "replication slots"

export interface Slot {
  readonly slot: string
  /** As a literal of SQL. */
  readonly quoted: string
  readonly active: boolean
  readonly temporary: boolean
  readonly kind: "physical" | "logical"
  /** Bytes of WAL. */
  readonly behind: number
  readonly lost: boolean
  /** How many transactions ago the oldest began whose rows are kept for it, of every table; null where none are. */
  readonly rows: number | null
  /** The same, of the system's catalogue alone. */
  readonly catalogue: number | null
}

const unread = ({ active, behind, kind, lost, quoted, slot, ...holds }: Slot, { slotBytes }: DoctorLimitsShape) =>
  finding(
    name,
    behind >= slotBytes ? "serious" : "warning",
    lost
      ? `the replication slot ${slot} has lost WAL that it needs`
      : active
      ? `the replication slot ${slot} is far behind`
      : `nobody reads the replication slot ${slot}`,
    `${kind}, ${size(behind)} of WAL are kept for it${
      holds.rows !== null ? ", and old rows" : holds.catalogue !== null ? ", and old rows of the catalogue" : ""
    }`,
    active
      ? "Look after its reader"
      : `Start its reader, or where it is not needed any more: SELECT pg_drop_replication_slot(${quoted})`
  )

/** What is wrong with a slot; the worst alone. Pure. */
export const slotFindings = (slot: Slot, limits: DoctorLimitsShape): ReadonlyArray<Finding> => {
  const { active, behind, catalogue, kind, lost, rows, temporary } = slot
  const isOld = (age: number | null) => age !== null && age >= limits.heldTransactions
  // One that is temporary ends with its reader.
  if (
    !temporary && (lost || behind >= limits.slotBytes || !active && (behind > 0 || isOld(rows) || isOld(catalogue)))
  ) {
    return [unread(slot, limits)]
  }
  if (isOld(rows)) {
    return [finding(
      name,
      "warning",
      `the replication slot ${slot.slot} holds back vacuum`,
      `${kind}: its reader may still see what was deleted or replaced since ${transactionsAgo(rows ?? 0)}`,
      kind === "physical" ? endLongQueries : "Look after its reader"
    )]
  }
  return isOld(catalogue)
    ? [finding(
      name,
      "warning",
      `the replication slot ${slot.slot} holds back vacuum of the catalogue`,
      `${kind}: old rows of the system's tables are kept since ${
        transactionsAgo(catalogue ?? 0)
      }; none of the outbox's`,
      kind === "physical"
        ? "Look on the standby after the readers of its own slots"
        : "Look after its reader: it has not confirmed what it was sent"
    )]
    : []
}

export const replication: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { sql }, limits }) {
    const slots = yield* sql<Slot>`
      SELECT slot_name::text AS slot, quote_literal(slot_name) AS quoted, active, temporary, slot_type AS kind,
        coalesce(CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END, 0)::float8 AS behind,
        coalesce(wal_status = 'lost', false) AS lost, age(xmin)::float8 AS rows, age(catalog_xmin)::float8 AS catalogue
      FROM pg_replication_slots ORDER BY behind DESC`
    return orOk(
      slots.flatMap((slot) => slotFindings(slot, limits)).slice(0, 20),
      name,
      slots.every(({ temporary }) => temporary) ? "there are none" : "all are read"
    )
  })
}
