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

/** None where there is no snapshot, where it is of another version, or where it cannot be decoded any more. */
export const findSnapshot = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*<State>({ aggregateId, aggregateType }: StreamId, policy: SnapshotPolicy<State>) {
    const [row] = yield* sql<{ state: unknown; version: number }>`
      SELECT state, stream_version::float8 AS version FROM ${table.snapshots}
      WHERE aggregate_type = ${aggregateType} AND aggregate_id = ${aggregateId} AND snapshot_version = ${policy.version}`
    if (row === undefined) return Option.none<Snapshot<State>>()
    return Option.map(
      Schema.decodeUnknownOption(policy.state)(row.state),
      (state): Snapshot<State> => ({ state, version: row.version })
    )
  })

/**
 * Writes the snapshot in the open transaction, unless there is a later one of the same kind. A state that is no JSON is not kept, with a
 * warning: it would end the transaction for something that nobody needs.
 *
 * @param personal whether it goes when somebody is forgotten. For a minute after anybody was, none such is kept: the state may have been loaded
 *                 before.
 */
export const keepSnapshot = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*<State>(
    { aggregateId, aggregateType }: StreamId,
    policy: SnapshotPolicy<State>,
    snapshot: Snapshot<State>,
    personal: boolean
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
    yield* sql`
      INSERT INTO ${table.snapshots} AS snapshot (aggregate_type, aggregate_id, snapshot_version, stream_version, state, personal, taken_at)
      SELECT ${aggregateType}, ${aggregateId}, ${policy.version}::int, ${snapshot.version}::float8::bigint, ${json.success}::jsonb, ${personal}::boolean, ${time}
      WHERE NOT (${personal}::boolean AND EXISTS (
        SELECT 1 FROM ${table.subjectKeys} WHERE forgotten_at > ${time} - interval '1 minute'
      ))
      ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET snapshot_version = excluded.snapshot_version,
        stream_version = excluded.stream_version, state = excluded.state, personal = excluded.personal, taken_at = excluded.taken_at
      WHERE snapshot.snapshot_version <> excluded.snapshot_version OR snapshot.stream_version < excluded.stream_version`
  })
