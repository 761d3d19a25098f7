/** Whether old rows are deleted as the settings ask, and whether anybody has asked. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Check } from "./Check.ts"
import { finding, orOk, span } from "./Check.ts"
import type { Finding } from "./Finding.ts"
import { settingsInUse } from "./settings.ts"

const name = "retention"

export const retention: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { now, sql, table }, limits, names }) {
    const read = yield* Effect.option(settingsInUse)
    if (Option.isNone(read)) return []
    const { maintenanceInterval, retentionDelivered, retentionInbox } = read.value
    const time = yield* now
    const [outbox] = yield* sql<{ rows: number }>`
      SELECT greatest(reltuples, 0)::float8 AS rows FROM pg_class WHERE oid = to_regclass(${names.outbox})`
    const found: Array<Finding> = []
    if (!Duration.isFinite(retentionDelivered) && (outbox?.rows ?? 0) >= limits.keptRows) {
      found.push(finding(
        name,
        "notice",
        "delivered entries are kept for ever",
        `the outbox holds about ${Math.round(outbox?.rows ?? 0)} rows, and OUTBOX_RETENTION_DELIVERED is not set here`,
        "OUTBOX_RETENTION_DELIVERED=30 for every worker; zakops purge delivered --older-than 30d deletes once"
      ))
    }
    const late = Duration.sum(Duration.days(1), Duration.times(maintenanceInterval, 10))
    const ages = [
      ["delivered entries", retentionDelivered, sql`SELECT FROM ${table.outbox} WHERE delivered_at < `],
      ["inbox rows", retentionInbox, sql`SELECT FROM ${table.inbox} WHERE processed_at < `]
    ] as const
    for (const [what, age, older] of ages) {
      if (!Duration.isFinite(age)) continue
      const seconds = Duration.toSeconds(Duration.sum(age, late))
      const [row] = yield* sql<{ stays: boolean }>`
        SELECT EXISTS (${older} ${time} - ${seconds}::float8 * interval '1 second') AS stays`
      if (row?.stays !== true) continue
      const [task] = yield* sql<{ runner: string | null; seconds: number | null }>`
        SELECT runner, extract(epoch FROM ${time} - finished_at)::float8 AS seconds FROM ${table.tasks} WHERE name = 'maintenance'`
      found.push(finding(
        name,
        "warning",
        `${what} are not deleted in time`,
        `some are more than a day over their ${span(Duration.toSeconds(age))}; maintenance last finished ${
          task?.seconds === undefined || task.seconds === null ? "never" : `${span(task.seconds)} ago`
        }`,
        "Let a worker run with OUTBOX_MAINTENANCE_ENABLED=true and the same age, or delete now: zakops purge delivered --older-than ..."
      ))
    }
    return orOk(
      found,
      name,
      Duration.isFinite(retentionDelivered) ? "old rows are deleted in time" : "nothing is to be deleted"
    )
  })
}
