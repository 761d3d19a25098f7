/** Dead letters are given up: they stay in the table until retention takes them, and their keys go on without them. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import { changeDead } from "./changeDead.ts"
import type { CheckedFilter } from "./DeadFilter.ts"
import { letForward } from "../claiming/orderingKeys.ts"

/** Gives how many. */
export const discard = (db: Database) => {
  const inBatches = changeDead(db)
  const giveUp = discardEntries(db)
  const forward = letForward(db)
  return (filter: CheckedFilter, by: string) =>
    inBatches({
      action: "discard",
      by,
      filter,
      change: Effect.fnUntraced(function*(entries) {
        yield* giveUp(entries.map(({ id }) => id))
        yield* forward(
          entries.flatMap((entry) => entry.blocks && entry.orderingKey !== null ? [{ key: entry.orderingKey }] : [])
        )
      })
    })
}

/** What EntryLifecycle calls Discarded, for entries that the transaction has locked. */
export const discardEntries = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
    const time = yield* now
    yield* sql`
      UPDATE ${table.outbox} SET discarded_at = ${time}, blocks = false, waits_for = NULL WHERE id = ANY (${ids}::uuid[])`
  })
