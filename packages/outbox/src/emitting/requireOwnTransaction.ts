/** Holds the right to write against the transaction that is really open. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Transaction } from "../TransactionalPublisher.ts"

/**
 * A `Transaction` that was carried out of its transaction, by a forked fiber or a stored context, would write on its own: that is a
 * defect.
 */
export const requireOwnTransaction = Effect.fnUntraced(function*({ sql }: Database) {
  const granted = yield* Transaction
  const open = yield* Effect.serviceOption(sql.transactionService)
  if (!granted.isOpen() || Option.isNone(open) || open.value[0] !== granted.connection) {
    return yield* Effect.die(
      new Error("the transaction that this effect was given has ended, or is not the one that is open")
    )
  }
})
