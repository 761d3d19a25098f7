/** Dead letters, and ordering keys that stand still because of one. */
import { diedAt, isDead } from "@zakops/outbox/deadLetters/DeadFilter"
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, shellWord } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "dead letters"

const mostCounted = 1000

const atLeast = (count: number) => count > mostCounted ? `more than ${mostCounted}` : String(count)

export const deadLetters: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { now, sql, table } }) {
    const time = yield* now
    // The newest of the index outbox_dead: a long list is no reason to count for long.
    const [dead] = yield* sql<{ count: number; recent: number; blocked: number; key: string | null }>`
      WITH dead AS (
        SELECT ${sql.literal(diedAt)} AS died, o.blocks, o.ordering_key FROM ${table.outbox} o
        WHERE ${sql.literal(isDead)} ORDER BY o.seq DESC LIMIT ${mostCounted + 1}::int
      )
      SELECT count(*)::int AS count, (count(*) FILTER (WHERE died > ${time} - interval '1 hour'))::int AS recent,
        (count(DISTINCT ordering_key) FILTER (WHERE blocks))::int AS blocked, min(ordering_key) FILTER (WHERE blocks) AS key
      FROM dead`
    const { blocked = 0, count = 0, key = null, recent = 0 } = dead ?? {}
    const found: Array<Finding> = []
    if (count > 0) {
      found.push(finding(
        name,
        recent > 0 ? "warning" : "notice",
        `there are ${atLeast(count)} dead letters`,
        `${atLeast(recent)} of them died within the last hour`,
        "zakops dead groups error shows why; zakops dead redrive --error TEXT --dry-run, when the cause is mended"
      ))
    }
    if (blocked > 0) {
      const word = shellWord(key ?? "")
      found.push(finding(
        name,
        "warning",
        `${atLeast(blocked)} ordering keys stand still behind a dead letter`,
        `among them ${key ?? ""}`,
        `zakops keys blocked shows all; zakops dead redrive --key ${word} has it tried again; zakops keys unblock ${word}, or discard-head ${word}, ` +
          "lets the key go on without it"
      ))
    }
    return orOk(found, name, "there are none")
  })
}
