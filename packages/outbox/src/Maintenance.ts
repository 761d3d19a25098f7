/**
 * Deletes what is older than its age: delivered entries, dead letters, inbox rows, the history of attempts, and deduplication keys whose
 * window is over. Nothing but the last unless a setting asks for it; and what workers that are gone have left of themselves.
 *
 * One process does it at a time, and another takes over within 10 seconds when it is gone. Short transactions that skip what is locked:
 * deletion waits for no delivery and no delivery for a deletion.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { deleteAttempts } from "./retention/deleteAttempts.ts"
import { dateFinished, deleteDead, deleteDiscarded } from "./retention/deleteDead.ts"
import { deleteDedupeKeys } from "./retention/deleteDedupeKeys.ts"
import { deleteDelivered } from "./retention/deleteDelivered.ts"
import { deleteInboxRows } from "./retention/deleteInboxRows.ts"
import { outlastTrouble } from "./connecting/outlastTrouble.ts"
import type { Batch, BatchResult } from "./retention/inBatches.ts"
import { inBatches } from "./retention/inBatches.ts"
import { forgetWorkers } from "./retention/forgetWorkers.ts"
import { letKeysForward } from "./retention/letKeysForward.ts"
import { OutboxConfig } from "./OutboxConfig.ts"
import { requireInboxAge } from "./retention/redeliveryWindow.ts"
import { RetryPolicy } from "./RetryPolicy.ts"
import type { TaskLost, Turn } from "./retention/TaskLease.ts"
import { takeTurn, untilDue } from "./retention/TaskLease.ts"

/** What one run of the maintenance did: the rows that it deleted, and the ordering keys that it let forward. */
export interface MaintenanceCounts {
  readonly delivered: number
  readonly dead: number
  readonly discarded: number
  readonly inbox: number
  /** Those that went with their entries, too. */
  readonly attempts: number
  readonly dedupeKeys: number
  readonly letForward: number
}

const task = "maintenance"

/** Without a batch for so long, the process that runs it is taken for gone. */
const lease = Duration.seconds(10)

/** The metric `zakops.retention.deleted` {table}. */
export const deletedRows = Metric.counter("zakops.retention.deleted", {
  attributes: { unit: "{row}" },
  description: "Rows that were deleted because of their age, by table",
  incremental: true
})
const count = (table: string, rows: number) =>
  rows === 0 ? Effect.void : Metric.update(Metric.withAttributes(deletedRows, { table }), rows)

const maintain = (db: Database.Database, settings: OutboxConfig["Service"]) => {
  const { retentionAttempts, retentionDead, retentionDelivered, retentionInbox } = settings
  const healKeys = letKeysForward(db)

  return Effect.fnUntraced(function*(turn: Turn): Effect.fn.Return<MaintenanceCounts, SqlError | TaskLost> {
    let withEntries = 0
    const deleteOld = (age: Duration.Duration, table: string, batch: Batch) =>
      Duration.isFinite(age)
        ? inBatches(turn, batch, (result: BatchResult) => {
          const attempts = result.attempts ?? 0
          withEntries += attempts
          return Effect.andThen(count(table, result.count), count("outbox_attempts", attempts))
        })
        : Effect.succeed(0)

    const dedupeKeys = yield* deleteOld(Duration.zero, "dedupe_keys", deleteDedupeKeys(db))
    if (Duration.isFinite(retentionDelivered) || Duration.isFinite(retentionDead)) {
      yield* inBatches(turn, dateFinished(db), () => Effect.void)
    }
    const delivered = yield* deleteOld(retentionDelivered, "outbox", deleteDelivered(db, retentionDelivered))
    const discarded = yield* deleteOld(retentionDead, "outbox", deleteDiscarded(db, retentionDead))
    const dead = yield* deleteOld(retentionDead, "outbox", deleteDead(db, retentionDead))
    const inbox = yield* deleteOld(retentionInbox, "inbox", deleteInboxRows(db, retentionInbox))
    const attempts = yield* deleteOld(retentionAttempts, "outbox_attempts", deleteAttempts(db, retentionAttempts))
    yield* turn.step(forgetWorkers(db))
    const letForward = yield* healKeys(turn)
    if (letForward > 0) yield* Effect.logWarning(`${letForward} ordering keys were held up by nothing and go on`)
    return { delivered, dead, discarded, inbox, attempts: attempts + withEntries, dedupeKeys, letForward }
  })
}

export class Maintenance extends Context.Service<Maintenance, {
  /**
   * Goes through all tables to the end, whenever that was done last; `none` where another process is at it, or has taken over. For tests
   * and cron jobs.
   */
  readonly runOnce: Effect.Effect<Option.Option<MaintenanceCounts>, SqlError>
  /**
   * Until the scope closes: runs `OUTBOX_MAINTENANCE_INTERVAL` after the last run of any process, if no other one does. Never fails:
   * while the database is away it logs and tries again.
   */
  readonly start: Effect.Effect<void, never, Scope.Scope>
}>()("@zakops/outbox/Maintenance") {
  /** Fails with `InvalidSetting` where the inbox's age is shorter than an event may take to come again. */
  static readonly layer = Layer.effect(
    Maintenance,
    Effect.gen(function*() {
      const db = yield* Database.make
      const settings = yield* OutboxConfig
      yield* requireInboxAge(settings, yield* RetryPolicy)
      const { maintenanceInterval } = settings
      const turn = takeTurn(db, task, lease)
      const work = maintain(db, settings)

      const runAfter = (interval: Duration.Duration) =>
        turn(interval, work).pipe(
          Effect.map(Option.fromUndefinedOr),
          Effect.catchTag("TaskLost", () =>
            Effect.as(
              Effect.logWarning("another process does the maintenance by now: the lease had run out here"),
              Option.none<MaintenanceCounts>()
            ))
        )

      const next = Effect.gen(function*() {
        const wait = yield* untilDue(db, task)(maintenanceInterval)
        if (Duration.isGreaterThan(wait, Duration.zero)) return yield* Effect.sleep(wait)
        yield* runAfter(maintenanceInterval)
      })

      return Maintenance.of({
        runOnce: runAfter(Duration.zero),
        start: Effect.asVoid(Effect.forkScoped(Effect.forever(outlastTrouble("maintenance failed", next))))
      })
    })
  )
}
