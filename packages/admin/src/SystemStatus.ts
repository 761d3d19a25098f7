/**
 * How the outbox is, cheaply: each count stops at a limit or comes from the statistics of the database, so that reading it takes
 * milliseconds however many rows there are. See `Overview` for the figures.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import type { Overview } from "./api/overview.ts"
import { readOverview } from "./reading/readOverview.ts"
import { refreshedBehind } from "./reading/refreshedBehind.ts"

export class SystemStatus extends Context.Service<SystemStatus, {
  /** Read now, in one short read-only transaction. For a command; many who ask at once want `recent`. */
  readonly read: Effect.Effect<Overview, SqlError>
  /**
   * As it was a few seconds ago at most. Many may ask: it is read once for all, behind the answer where there is one already, and not at
   * all while nobody asks; with `KeepFigures` every half minute then, so that the first answer may be that old.
   */
  readonly recent: Effect.Effect<Overview, SqlError>
}>()("@zakops/admin/SystemStatus") {
  static readonly layer = Layer.effect(
    SystemStatus,
    Effect.gen(function*() {
      const read = readOverview(yield* Database.make)
      const recent = yield* refreshedBehind(read, { fresh: "1 second", stale: "10 seconds", idle: "30 seconds" })
      return SystemStatus.of({ read, recent })
    })
  )
}
