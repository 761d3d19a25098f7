/**
 * Pausing and resuming: a type of events, or a destination, for all processes, until somebody resumes it.
 *
 * What is in flight is finished; nothing more is taken. It holds from the commit on, survives restarts, and is audited. Emitting goes on.
 * The entries of a paused type stand in a line of their own, so that the others are delivered as before.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import type { DiscardOptions } from "./DeadLetters.ts"
import type { InvalidRequest } from "./deadLetters/DeadFilter.ts"
import { checkBy, checkText } from "./deadLetters/DeadFilter.ts"
import { recordAudit } from "./deadLetters/recordAudit.ts"
import { Wakeup } from "./Wakeup.ts"

/** What can be paused. A destination's name is that of its publisher. */
export type FlowTarget = { readonly type: string } | { readonly destination: string }

export interface Pause {
  readonly kind: "type" | "destination"
  readonly name: string
  readonly pausedAt: Date
  readonly pausedBy: string
}

const rowOf = Effect.fnUntraced(function*(target: FlowTarget) {
  return "type" in target
    ? { kind: "type", name: yield* checkText("type", target.type) } as const
    : { kind: "destination", name: yield* checkText("destination", target.destination) } as const
})

type ChangeError = InvalidRequest | SqlError

export class FlowControl extends Context.Service<FlowControl, {
  /** True where it was not paused before. `by` says who, for the audit. Runs in a transaction of its own, or in the open one. */
  readonly pause: (target: FlowTarget, options: DiscardOptions) => Effect.Effect<boolean, ChangeError>
  /** True where it was paused. What waits is taken up at once, oldest first. */
  readonly resume: (target: FlowTarget, options: DiscardOptions) => Effect.Effect<boolean, ChangeError>
  readonly paused: Effect.Effect<ReadonlyArray<Pause>, SqlError>
}>()("@zakops/outbox/FlowControl") {
  static readonly layer = Layer.effect(
    FlowControl,
    Effect.gen(function*() {
      const db = yield* Database.make
      const wakeup = yield* Wakeup
      const { now, sql, table } = db
      const audit = recordAudit(db)

      const pause = Effect.fn("FlowControl.pause")(function*(target: FlowTarget, options: DiscardOptions) {
        const { kind, name } = yield* rowOf(target)
        const by = yield* checkBy(options.by)
        const time = yield* now
        return yield* sql.withTransaction(Effect.gen(function*() {
          const rows = yield* sql`
            INSERT INTO ${table.flow} AS flow (kind, name, paused_at, paused_by) VALUES (${kind}, ${name}, ${time}, ${by})
            ON CONFLICT (kind, name) DO UPDATE SET paused_at = excluded.paused_at, paused_by = excluded.paused_by
              WHERE flow.paused_at IS NULL
            RETURNING 1`
          if (rows.length > 0) yield* audit({ by, action: "pause", filter: { [kind]: name }, count: 1 })
          return rows.length > 0
        }))
      })

      const resume = Effect.fn("FlowControl.resume")(function*(target: FlowTarget, options: DiscardOptions) {
        const { kind, name } = yield* rowOf(target)
        const by = yield* checkBy(options.by)
        return yield* sql.withTransaction(Effect.gen(function*() {
          const rows = yield* sql`
            UPDATE ${table.flow} SET paused_at = NULL, paused_by = NULL
            WHERE kind = ${kind} AND name = ${name} AND paused_at IS NOT NULL RETURNING 1`
          if (rows.length > 0) yield* audit({ by, action: "resume", filter: { [kind]: name }, count: 1 })
          yield* sql.afterCommit(wakeup.announce)
          return rows.length > 0
        }))
      })

      const paused = sql<Pause>`
        SELECT kind, name, paused_at AS "pausedAt", coalesce(paused_by, '') AS "pausedBy"
        FROM ${table.flow} WHERE paused_at IS NOT NULL ORDER BY kind, name`

      return FlowControl.of({ pause, resume, paused })
    })
  )
}
