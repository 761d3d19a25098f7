/**
 * What is known of the projections: which versions there are, which of them is live, how far each is, and what an operator asks of them.
 */
import * as Database from "@zakops/migrations/Database"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { subscriptionOf } from "./Projection.ts"
import type { Status } from "./projectionRecord.ts"
import { isRead } from "./projectionRecord.ts"

export interface ProjectionState {
  readonly name: string
  readonly version: number
  readonly status: Status
  /**
   * The position of the last event handled, and that of the log's last event: the progress of a rebuild. Not a count: positions have
   * gaps.
   */
  readonly position: bigint
  readonly newest: bigint
  /** Where it stopped, if it has. */
  readonly error: string | null
  /** Events that it has set aside, counted up to 1,000. */
  readonly parked: number
  /** The process that runs it, as `host:pid`; null where none does. */
  readonly runner: string | null
  readonly canReset: boolean
  readonly resetRequested: boolean
}

/** There is no projection of that name (and version), or it cannot be done with it. */
export class ProjectionRefused extends Schema.TaggedError<ProjectionRefused>()("ProjectionRefused", {
  projection: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `projection ${this.projection}: ${this.reason}`
  }
}

type Access<A, E = never> = Effect.Effect<A, E | SqlError | InvalidSchemaName, SqlClient>

/** Parked events are counted no further. */
export const mostParked = 1000

/** How much of the log has been read, by positions: from 0 to 1. */
export const progressOf = ({ newest, position }: Pick<ProjectionState, "newest" | "position">): number =>
  position >= newest ? 1 : Number(position) / Number(newest)

/** All versions of all projections, or of one. */
export const list = (name?: string): Access<ReadonlyArray<ProjectionState>> =>
  Effect.gen(function*() {
    const { now, sql, table } = yield* Database.make
    const time = yield* now
    const subscription = sql.literal(`'projection ' || projection.name || ' v' || projection.version`)
    return yield* sql<ProjectionState>`
      SELECT projection.name, projection.version, projection.status, projection.error, projection.can_reset AS "canReset",
        projection.reset_requested AS "resetRequested", coalesce(checkpoint.position, 0) AS position,
        coalesce((SELECT log.position FROM ${table.agentEvents} AS log ORDER BY log.xid DESC, log.position DESC LIMIT 1), 0) AS newest,
        (SELECT count(*)::int FROM (
          SELECT FROM ${table.parkedEvents} AS parked WHERE parked.subscription = ${subscription} LIMIT ${mostParked}::int
        ) AS part) AS parked,
        CASE WHEN checkpoint.lease_until >= ${time} THEN checkpoint.runner END AS runner
      FROM ${table.projections} AS projection LEFT JOIN ${table.checkpoints} AS checkpoint ON checkpoint.subscription = ${subscription}
      WHERE ${name === undefined ? sql.literal("true") : sql`projection.name = ${name}`}
      ORDER BY projection.name, projection.version`
  })

/** The version to be read, if there is one yet: also while it is being rebuilt in place. */
export const liveVersion = (name: string): Access<Option.Option<number>> =>
  Effect.gen(function*() {
    const { sql, table } = yield* Database.make
    const [row] = yield* sql<{ version: number }>`
      SELECT version FROM ${table.projections} WHERE name = ${name} AND ${isRead(sql)}
      ORDER BY status = 'live' DESC, live_at DESC LIMIT 1`
    return Option.map(Option.fromUndefinedOr(row), ({ version }) => version)
  })

const versionToChange = Effect.fnUntraced(function*(name: string, version: number | undefined) {
  const states = yield* list(name)
  const state = version === undefined
    ? states.find(({ status }) => status === "live") ?? states.at(-1)
    : states.find((one) => one.version === version)
  if (state !== undefined) return state
  return yield* new ProjectionRefused({
    projection: name,
    reason: states.length === 0
      ? "there is none of that name; one is known from when it first ran"
      : `there is no version ${version}: there are ${states.map((one) => one.version).join(", ")}`
  })
})

/**
 * Asks whoever runs the projection to empty its read model and build it anew from the first event: the given version, or the live one.
 * Gives the version. Refused where it has no `reset`, and where another version has replaced it.
 */
export const requestRebuild = (name: string, version?: number): Access<number, ProjectionRefused> =>
  Effect.gen(function*() {
    const { sql, table } = yield* Database.make
    const state = yield* versionToChange(name, version)
    if (!state.canReset) {
      return yield* new ProjectionRefused({
        projection: name,
        reason: `version ${state.version} has no reset: give it one, or raise its version to build a new one beside it`
      })
    }
    if (state.status === "retired") {
      return yield* new ProjectionRefused({
        projection: name,
        reason:
          `version ${state.version} was replaced by another one: switch to it first, to have it built and live again`
      })
    }
    yield* sql`UPDATE ${table.projections} SET reset_requested = true WHERE name = ${name} AND version = ${state.version}`
    return state.version
  })

/**
 * Has this version become the live one as soon as it has caught up, also where a higher one is: the way back after a deployment was.
 * Whoever runs that version does it.
 */
export const requestSwitch = (name: string, version: number): Access<void, ProjectionRefused> =>
  Effect.gen(function*() {
    const { sql, table } = yield* Database.make
    yield* versionToChange(name, version)
    // The live one has nothing to be switched to.
    yield* sql`UPDATE ${table.projections} SET switch_requested = true, status = 'building'
      WHERE name = ${name} AND version = ${version} AND NOT ${isRead(sql)}`
  })

/** The subscription of a projection's version, for its parked events: the given version, or the live one. */
export const subscriptionNamed = (name: string, version?: number): Access<string, ProjectionRefused> =>
  Effect.map(versionToChange(name, version), subscriptionOf)
