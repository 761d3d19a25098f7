/** Holds the right to write against the transaction that is really open. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect/Fiber"
import type { OpenTransaction, Transaction } from "../Transaction.ts"
import { openIn } from "../Transaction.ts"

/** Runs `use` with the transaction that is open here; a defect, where that is not the one that was granted. */
export const inOwnTransaction = <A, E>(
  db: Database,
  use: (transaction: OpenTransaction, fiber: Fiber<unknown, unknown>) => Effect.Effect<A, E, Transaction>
): Effect.Effect<A, E, Transaction> =>
  Effect.withFiber((fiber) => {
    const transaction = openIn(db.sql, fiber.context)
    return transaction === undefined
      ? Effect.die(new Error("the transaction that this effect was given has ended, or is not the one that is open"))
      : use(transaction, fiber)
  })

/** A defect, unless the transaction that is open here is the one that was granted. */
export const requireOwnTransaction = (db: Database): Effect.Effect<void, never, Transaction> =>
  inOwnTransaction(db, () => Effect.void)
