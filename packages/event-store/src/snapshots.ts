/** Keeps the state of an aggregate beside its stream, and finds it again if it is of use. */
import * as JsonText from "@zakops/events/JsonText"
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { SnapshotPolicy } from "./Decider.ts"
import type { StreamId } from "./StreamId.ts"

export interface Snapshot<State> {
  readonly state: State
  /** Of the stream, when it was taken. */
  readonly version: number
}

/** What `findSnapshot` gives. */
export interface Found<State> {
  /** None where there is no snapshot, where it is of another version, or where it cannot be decoded any more. */
  readonly snapshot: Option.Option<Snapshot<State>>
  /** Which transactions had ended by then (a pg_snapshot): what is read later may have been read before the others did. */
  readonly seen: string
}

export const findSnapshot = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*<State>({ aggregateId, aggregateType }: StreamId, policy: SnapshotPolicy<State>) {
    const [row] = yield* sql<{ state: unknown; version: number | null; seen: string }>`
      SELECT kept.state, kept.stream_version::float8 AS version, pg_current_snapshot()::text AS seen
      FROM (SELECT) AS always LEFT JOIN ${table.snapshots} AS kept ON aggregate_type = ${aggregateType}
        AND aggregate_id = ${aggregateId} AND name = ${policy.name} AND snapshot_version = ${policy.version}`
    const found: Found<State> = {
      seen: row?.seen ?? "1:1:",
      snapshot: row === undefined || row.version === null
        ? Option.none()
        : Option.map(
          Schema.decodeUnknownOption(policy.state)(row.state),
          (state): Snapshot<State> => ({ state, version: row.version ?? 0 })
        )
    }
    return found
  })

/**
 * Writes the snapshot in the open transaction, unless there is a later one of the same kind. A state that is no JSON is not kept, with a
 * warning: it would end the transaction for something that nobody needs.
 *
 * @param personal where it goes when somebody is forgotten: what had been seen before the load. It is not kept where anybody was
 *                 forgotten since, for the state may hold what is to be forgotten; nor beyond READ COMMITTED, where that could not be
 *                 seen.
 */
export const keepSnapshot = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*<State>(
    { aggregateId, aggregateType }: StreamId,
    policy: SnapshotPolicy<State>,
    snapshot: Snapshot<State>,
    personal: { readonly seen: string } | undefined
  ) {
    const encoded = Schema.encodeUnknownResult(policy.state)(snapshot.state)
    const json = Result.flatMap(
      Result.mapError(encoded, (error) => error.message),
      (state) => Result.mapError(JsonText.encode(state, "state"), ({ path, problem }) => `${path} ${problem}`)
    )
    if (Result.isFailure(json)) {
      return yield* Effect.logWarning(`no snapshot of ${aggregateType}/${aggregateId}: ${json.failure}`)
    }
    const time = yield* now
    const allowed = personal === undefined ?
      sql.literal("true") :
      sql`current_setting('transaction_isolation') = 'read committed'
      AND NOT EXISTS (
        SELECT 1 FROM ${table.subjectKeys} WHERE forgotten_xid >= pg_snapshot_xmin(${personal.seen}::pg_snapshot)
          AND NOT pg_visible_in_snapshot(forgotten_xid, ${personal.seen}::pg_snapshot)
      )`
    yield* sql`
      INSERT INTO ${table.snapshots} AS snapshot (aggregate_type, aggregate_id, name, snapshot_version, stream_version, state, personal,
        taken_at)
      SELECT ${aggregateType}, ${aggregateId}, ${policy.name}, ${policy.version}::int, ${snapshot.version}::float8::bigint,
        ${json.success}::jsonb, ${personal !== undefined}::boolean, ${time}
      WHERE ${allowed}
      ON CONFLICT (aggregate_type, aggregate_id, name) DO UPDATE SET snapshot_version = excluded.snapshot_version,
        stream_version = excluded.stream_version, state = excluded.state, personal = excluded.personal, taken_at = excluded.taken_at
      WHERE snapshot.snapshot_version <> excluded.snapshot_version OR snapshot.stream_version < excluded.stream_version`
  })
