/** The examples of docs/dead-letters.md. */
import * as EventDefinition from "@zakops/events/EventDefinition"
import { BlockedKeys, DeadLetters } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const DealPriced = EventDefinition.make("deal.priced", {
  aggregateType: "deal",
  aggregateId: (deal) => deal.dealId,
  payload: Schema.Struct({ dealId: Schema.String, amount: Schema.Int })
})

export const look = Effect.gen(function*() {
  const { count, groups, inspect, list } = yield* DeadLetters
  yield* Effect.logInfo(`${yield* count({ newerThan: "1 day" })} died since yesterday`)
  yield* Effect.logInfo("by error", yield* groups("error", { type: "deal.priced" }))
  const page = yield* list({ type: "deal.priced" }, { limit: 50 })
  for (const { id } of page.entries) {
    const entry = yield* inspect(id)
    if (Option.isSome(entry)) yield* Effect.logInfo(id, entry.value.settings, entry.value.history)
  }
})

export const redrivePrices = Effect.gen(function*() {
  const { dryRun, redrive } = yield* DeadLetters
  const selection = { type: "deal.priced", error: "503" }
  const found = yield* dryRun(selection, [DealPriced])
  yield* Effect.logInfo(`${found.ready} of ${found.matching} would go`, found.undecodable.first)
  if (found.ready < found.matching) return 0
  return yield* redrive(selection, { by: "jane", rate: 50 })
})

export const discardOld = Effect.gen(function*() {
  const { discard } = yield* DeadLetters
  return yield* discard({ type: "deal.priced", olderThan: "90 days" }, { by: "jane" })
})

export const letKeysGoOn = Effect.gen(function*() {
  const { list, unblock } = yield* BlockedKeys
  const { keys } = yield* list()
  yield* Effect.forEach(keys.filter(({ waiting }) => waiting >= 1000), ({ key }) => unblock(key, { by: "jane" }))
})
