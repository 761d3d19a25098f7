/** `zakops keys`: ordering keys that a dead entry holds up. */
import { BlockedKeys } from "@zakops/outbox"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { by, json, operator } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { after, limit } from "./paging.ts"
import { asTable, shortened, when } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const blocked = Command.make(
  "blocked",
  { limit, after, json },
  ({ after, json, limit }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { list } = yield* BlockedKeys
        const { keys, next } = yield* list({ limit, after: Option.getOrUndefined(after) })
        if (json) return yield* Console.log(toJson({ items: keys, next }))
        if (keys.length === 0) {
          return yield* Console.log(Option.isNone(after) ? "no key is blocked" : "no key after these is blocked")
        }
        yield* Console.log(asTable(
          ["key", "waiting", "since", "dead entry", "type", "error"],
          keys.map((blocked) => [
            blocked.key,
            blocked.waiting >= 1000 ? "1000 or more" : String(blocked.waiting),
            when(blocked.since),
            blocked.headId,
            blocked.eventType,
            shortened(blocked.error)
          ])
        ))
        if (next !== null) yield* Console.log(`\nthose after them: --after ${next}`)
      }).pipe(Effect.provide(BlockedKeys.layer))
    )
).pipe(Command.withDescription("Keys that a dead entry holds up, and how much waits behind it"))

const key = Argument.String("key").pipe(Argument.withDescription("The ordering key"))

const unblock = Command.make(
  "unblock",
  { key, by, json },
  ({ by, json, key }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { unblock } = yield* BlockedKeys
        const left = yield* unblock(key, { by: yield* operator(by) })
        yield* Console.log(
          json
            ? JSON.stringify({ unblocked: key, left })
            : `${key} goes on without ${left.join(", ")}, still a dead letter`
        )
      }).pipe(Effect.provide(BlockedKeys.layer))
    )
).pipe(Command.withDescription("Let a key go on without its dead entry, which stays a dead letter"))

const discardHead = Command.make(
  "discard-head",
  { key, by, json },
  ({ by, json, key }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { discardHead } = yield* BlockedKeys
        const discarded = yield* discardHead(key, { by: yield* operator(by) })
        yield* Console.log(json ? JSON.stringify({ discarded }) : `${discarded} is discarded, and ${key} goes on`)
      }).pipe(Effect.provide(BlockedKeys.layer))
    )
).pipe(Command.withDescription("Give up the dead entry that holds up a key: it will never be delivered"))

export const command = Command.make("keys").pipe(
  Command.withDescription("Ordering keys that a dead entry holds up"),
  Command.withSubcommands([blocked, unblock, discardHead])
)
