/**
 * Ordering keys that stand still because one of their entries is dead and was to be waited for (`onDead: "block"`).
 *
 * Redriving the entry (`DeadLetters.redrive`) lets the key go on in order; unblocking it or discarding the entry lets it go on without.
 * What is changed is audited in the same transaction.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import type { DiscardOptions } from "./DeadLetters.ts"
import { checkBy, checkText } from "./deadLetters/DeadFilter.ts"
import type { InvalidRequest } from "./deadLetters/DeadFilter.ts"
import { discardHead } from "./deadLetters/discardHead.ts"
import type { BlockedPage } from "./deadLetters/listBlocked.ts"
import { listBlocked } from "./deadLetters/listBlocked.ts"
import type { PageOptions } from "./deadLetters/listDead.ts"
import { unblockKey } from "./deadLetters/unblockKey.ts"

/** No dead entry holds the key up: somebody else was faster, or it was never blocked. */
export class NotBlocked extends Schema.TaggedError<NotBlocked>()("NotBlocked", { key: Schema.String }) {
  override get message() {
    return `the key ${JSON.stringify(this.key)} is not blocked`
  }
}

type ChangeError = NotBlocked | InvalidRequest | SqlError

export class BlockedKeys extends Context.Service<BlockedKeys, {
  /** The keys whose first dead entry was written earliest come first. */
  readonly list: (page?: PageOptions) => Effect.Effect<BlockedPage, InvalidRequest | SqlError>
  /** The key goes on without what is dead; that stays a dead letter, and if it is redriven goes to the key's end. Gives the ids. */
  readonly unblock: (key: string, options: DiscardOptions) => Effect.Effect<ReadonlyArray<string>, ChangeError>
  /** Gives up the entry that holds up the key, and gives its id. */
  readonly discardHead: (key: string, options: DiscardOptions) => Effect.Effect<string, ChangeError>
}>()("@zakops/outbox/BlockedKeys") {
  static readonly layer = Layer.effect(
    BlockedKeys,
    Effect.gen(function*() {
      const db = yield* Database.make
      const find = listBlocked(db)
      const unblock = unblockKey(db)
      const discard = discardHead(db)
      return BlockedKeys.of({
        list: Effect.fn("BlockedKeys.list")(function*(page = {}) {
          return yield* find(page)
        }),
        unblock: Effect.fn("BlockedKeys.unblock")(function*(key, { by }) {
          const ids = yield* unblock(yield* checkText("key", key), yield* checkBy(by))
          return ids.length > 0 ? ids : yield* new NotBlocked({ key })
        }),
        discardHead: Effect.fn("BlockedKeys.discardHead")(function*(key, { by }) {
          return (yield* discard(yield* checkText("key", key), yield* checkBy(by))) ?? (yield* new NotBlocked({ key }))
        })
      })
    })
  )
}
