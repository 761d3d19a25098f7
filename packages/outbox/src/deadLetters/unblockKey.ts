/** A key goes on without its dead entries, which stay dead letters. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import { wake } from "./changeDead.ts"
import { isDead } from "./DeadFilter.ts"
import { letForward } from "../claiming/orderingKeys.ts"
import { recordAudit } from "./recordAudit.ts"

/** In one transaction, with its audit row. Gives the ids of the entries that block no more; where there are none, nothing is written. */
export const unblockKey = (db: Database) => {
  const { sql, table } = db
  const audit = recordAudit(db)
  const forward = letForward(db)
  return Effect.fnUntraced(function*(key: string, by: string) {
    const ids = yield* sql.withTransaction(Effect.gen(function*() {
      const rows = yield* sql<{ id: string }>`
        UPDATE ${table.outbox} o SET blocks = false
        WHERE o.ordering_key = ${key} AND (NOT o.finished OR o.blocks) AND ${sql.literal(isDead)} AND o.blocks
        RETURNING o.id`
      if (rows.length === 0) return []
      yield* forward([{ key }])
      yield* audit({ by, action: "unblock", filter: { key }, count: rows.length })
      return rows.map(({ id }) => id)
    }))
    if (ids.length > 0) yield* wake(db)
    return ids
  })
}
