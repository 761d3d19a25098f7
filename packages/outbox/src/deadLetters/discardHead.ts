/** The dead entry that holds up a key is given up, and the key goes on. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import { wake } from "./changeDead.ts"
import { isDead } from "./DeadFilter.ts"
import { discardEntries } from "./discard.ts"
import { letForward } from "../claiming/orderingKeys.ts"
import { recordAudit } from "./recordAudit.ts"

/** In one transaction, with its audit row. Gives the entry's id; undefined, and nothing is written, where the key is not blocked. */
export const discardHead = (db: Database) => {
  const { sql, table } = db
  const audit = recordAudit(db)
  const giveUp = discardEntries(db)
  const forward = letForward(db)
  return Effect.fnUntraced(function*(key: string, by: string) {
    const id = yield* sql.withTransaction(Effect.gen(function*() {
      const [head] = yield* sql<{ id: string }>`
        SELECT o.id FROM ${table.outbox} o
        WHERE o.ordering_key = ${key} AND (NOT o.finished OR o.blocks) AND ${sql.literal(isDead)} AND o.blocks
        ORDER BY o.seq LIMIT 1 FOR UPDATE`
      if (head === undefined) return undefined
      yield* giveUp([head.id])
      yield* forward([{ key }])
      yield* audit({ by, action: "discard", filter: { key, ids: [head.id] }, count: 1 })
      return head.id
    }))
    if (id !== undefined) yield* wake(db)
    return id
  })
}
