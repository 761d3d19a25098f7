/**
 * What came of the two ways of the events in shadow mode: which matched by id and content, and which went one way only.
 *
 * Reads zakops.shadow_deliveries and what still waits in the outbox, as they stand: an event whose transaction is still open has been
 * published and has no copy yet, so leave out the last minute, or ask again.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"

/** How the events of one type compare: numbers of events, each counted under one name. */
export interface Comparison {
  /** Both ways, with the same content. */
  readonly matched: number
  /** Both ways, with different content. */
  readonly different: number
  /** Published directly, and no copy has come: its transaction was rolled back, or the copy was lost. */
  readonly onlyDirect: number
  /** The copy has come, and publishing directly had failed, or is not on record. */
  readonly onlyOutbox: number
  /** Published directly, or in vain; the copy is written and not delivered yet. */
  readonly waiting: number
  /** Published directly; the copy is dead in the outbox. */
  readonly dead: number
  /** Publishing directly had failed, and its transaction was rolled back: nothing went out either way. */
  readonly neither: number
}

export type Finding = keyof Comparison

export interface TypeReport extends Comparison {
  readonly eventType: string
  /** The first ids of each but `matched`, at most 5, in the order of time. */
  readonly firstIds: Readonly<Partial<Record<Finding, ReadonlyArray<string>>>>
}

/** Events are reported that went either way at `since` or later and before `until`; each is open where it is not given. */
export interface ReportRange {
  readonly since?: Date | undefined
  readonly until?: Date | undefined
}

export class RolloutReport extends Context.Service<RolloutReport, {
  /** One report for each type that was compared, by name. */
  readonly report: (range?: ReportRange) => Effect.Effect<ReadonlyArray<TypeReport>, SqlError>
}>()("@zakops/outbox/RolloutReport") {
  static readonly layer = Layer.effect(
    RolloutReport,
    Effect.map(Database.make, (db) => {
      const findings = countFindings(db)
      return { report: (range = {}) => Effect.map(findings(range), toReports) }
    })
  )
}

interface Row {
  readonly eventType: string
  readonly finding: Finding
  readonly count: number
  readonly ids: ReadonlyArray<string>
}

const firstIds = 5

/** Walks the index shadow_deliveries_at; the other way of each event, and its entry, are looked up by their keys. */
const countFindings = ({ sql, table }: Database.Database) => ({ since, until }: ReportRange) =>
  sql<Row>`
    WITH seen AS (
      SELECT event_id, min(at) AS at, min(event_type) AS event_type FROM ${table.shadowDeliveries}
      WHERE at >= coalesce(${since ?? null}::timestamptz, '-infinity') AND at < coalesce(${
    until ?? null
  }::timestamptz, 'infinity')
      GROUP BY event_id
    ),
    found AS (
      SELECT seen.*, CASE
          WHEN copy.digest IS NULL AND entry.waits THEN 'waiting'
          WHEN copy.digest IS NULL AND direct.error IS NOT NULL THEN 'neither'
          WHEN copy.digest IS NULL AND NOT entry.waits THEN 'dead'
          WHEN copy.digest IS NULL THEN 'onlyDirect'
          WHEN direct.digest IS NULL OR direct.error IS NOT NULL THEN 'onlyOutbox'
          WHEN direct.digest = copy.digest THEN 'matched'
          ELSE 'different'
        END AS finding
      FROM seen
      LEFT JOIN ${table.shadowDeliveries} AS direct ON direct.event_id = seen.event_id AND direct.path = 'direct'
      LEFT JOIN ${table.shadowDeliveries} AS copy ON copy.event_id = seen.event_id AND copy.path = 'outbox'
      LEFT JOIN LATERAL (
        SELECT NOT finished AS waits FROM ${table.outbox} AS entry
        WHERE entry.id = seen.event_id AND entry.shadow AND copy.digest IS NULL
      ) AS entry ON true
    ),
    numbered AS (
      SELECT *, row_number() OVER (PARTITION BY event_type, finding ORDER BY at, event_id) AS n FROM found
    )
    SELECT event_type AS "eventType", finding, count(*)::int AS count,
      coalesce(array_agg(event_id::text ORDER BY n) FILTER (WHERE n <= ${firstIds}::int), '{}') AS ids
    FROM numbered GROUP BY event_type, finding ORDER BY event_type`

const toReports = (rows: ReadonlyArray<Row>): ReadonlyArray<TypeReport> =>
  [...Map.groupBy(rows, (row) => row.eventType)].map(([eventType, ofType]) => {
    const countOf = (finding: Finding) => ofType.find((row) => row.finding === finding)?.count ?? 0
    const notMatched = ofType.filter(({ finding }) => finding !== "matched")
    return {
      eventType,
      matched: countOf("matched"),
      different: countOf("different"),
      onlyDirect: countOf("onlyDirect"),
      onlyOutbox: countOf("onlyOutbox"),
      waiting: countOf("waiting"),
      dead: countOf("dead"),
      neither: countOf("neither"),
      firstIds: Object.fromEntries(notMatched.map(({ finding, ids }) => [finding, ids]))
    }
  })
