/**
 * Dead letters are tried again: in place, with their id, settings and history, and all their attempts.
 *
 * What holds up its key is still the first of it, and keeps its place. What its key has gone on without goes to the end of it, since those
 * that were behind it may have been delivered.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import type { LockedDead } from "./changeDead.ts"
import { changeDead } from "./changeDead.ts"
import type { CheckedFilter } from "./DeadFilter.ts"
import { keysOf, letForward, lockedKeys } from "../claiming/orderingKeys.ts"

interface Redriven {
  readonly id: string
  /** Milliseconds from the beginning of the call until it is due. */
  readonly wait: number
}

/** `rate` entries become due in a second, in the order of writing; all at once where it is undefined. Gives how many. */
export const redrive = (db: Database) => {
  const inBatches = changeDead(db)
  const revive = reviveEntries(db)
  const forward = letForward(db)
  const lock = lockOrGiveUp(db)
  return (filter: CheckedFilter, by: string, rate: number | undefined) =>
    inBatches({
      action: "redrive",
      by,
      filter,
      settings: rate === undefined ? {} : { rate },
      change: Effect.fnUntraced(function*(entries, { began, done }) {
        const waits = new Map(entries.map(({ id }, n) => [id, rate === undefined ? 0 : (done + n) * 1000 / rate]))
        const redriven = ({ id }: LockedDead): Redriven => ({ id, wait: waits.get(id) ?? 0 })
        const last = entries.filter(goesLast)
        const inPlace = entries.filter((entry) => !goesLast(entry))
        if (inPlace.length > 0) yield* revive(inPlace.map(redriven), began, "in place")
        if (last.length > 0) {
          yield* lock(keysOf(last))
          for (const turn of inTurns(last)) yield* revive(turn.map(redriven), began, "to the end")
        }
        yield* forward(keysOf(entries).map((key) => ({ key })))
      })
    })
}

/**
 * Locks the keys as those who write to them do, so that the order of commits is the order of delivery. Gives up after 500 ms, and the batch
 * is tried again: a writer that holds one key and waits for another, which is locked here, would otherwise be in a deadlock, which
 * Postgres resolves after a second (deadlock_timeout), maybe at the writer's expense.
 */
const lockOrGiveUp = (db: Database) =>
  Effect.fnUntraced(function*(keys: ReadonlyArray<string>) {
    const { sql } = db
    const [before] = yield* sql<{ timeout: string }>`SELECT current_setting('lock_timeout') AS timeout`
    yield* sql`SELECT set_config('lock_timeout', '500ms', true)`
    yield* sql`SELECT FROM ${lockedKeys(db, keys)}`
    yield* sql`SELECT set_config('lock_timeout', ${before?.timeout ?? "0"}, true)`
  })

const goesLast = (entry: LockedDead) => entry.orderingKey !== null && !entry.blocks

/** The first of each key, then the second of each: Postgres numbers the rows of one statement in an order of its own. */
const inTurns = (entries: ReadonlyArray<LockedDead>): ReadonlyArray<ReadonlyArray<LockedDead>> => {
  const turns: Array<Array<LockedDead>> = []
  const seen = new Map<string | null, number>()
  for (const entry of entries) {
    const turn = seen.get(entry.orderingKey) ?? 0
    seen.set(entry.orderingKey, turn + 1)
    turns[turn] = [...(turns[turn] ?? []), entry]
  }
  return turns
}

/** What EntryLifecycle calls Redriven. A deadline that has passed would have it dead again at once, and is dropped. */
const reviveEntries = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(entries: ReadonlyArray<Redriven>, began: Fragment, place: "in place" | "to the end") {
    const time = yield* now
    yield* sql`
      UPDATE ${table.outbox} o SET
        status = 'pending',
        attempts = 0,
        crashes = 0,
        redrives = o.redrives + 1,
        next_attempt_at = ${began} + chosen.wait * interval '1 millisecond',
        expires_at = CASE WHEN o.expires_at > ${time} THEN o.expires_at END,
        blocks = false,
        waits_for = NULL,
        died_at = NULL,
        claim_id = NULL,
        claimed_by = NULL,
        lease_until = NULL${sql.literal(place === "to the end" ? ", seq = DEFAULT" : "")}
      FROM jsonb_to_recordset(${JSON.stringify(entries)}::jsonb) AS chosen (id uuid, wait float8)
      WHERE o.id = chosen.id`
  })
