/** `zakops consumers`: who reads the log, how far behind each is, and what it has set aside. Projections are among them. */
import type { Count } from "@zakops/admin/api/values"
import { Consumers } from "@zakops/admin/Consumers"
import * as Database from "@zakops/migrations/Database"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { json } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { changeFlags, changeParked, listFlags, listParked } from "./parked.ts"
import { absent } from "./Problem.ts"
import { countInWords } from "./purge.ts"
import { age, asTable, when } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const none = ({ value }: Count) => value === 0

const list = Command.make("list", { json }, ({ json }) =>
  withTables(() =>
    Effect.gen(function*() {
      const found = yield* (yield* Consumers).list
      if (json) return yield* Console.log(toJson(found))
      yield* Console.log(asTable(
        ["subscription", "behind", "for", "parked", "position", "run by", "moved"],
        found.map(({ lag, newest, parked, position, runner, subscription, updatedAt }) => [
          subscription,
          none(lag.events) ? "nothing" : countInWords(lag.events),
          none(lag.events) ? "" : age(lag.seconds * 1000),
          countInWords(parked),
          `${position} of ${newest}`,
          runner ?? "nobody",
          when(updatedAt)
        ])
      ))
    }).pipe(Effect.provide(Consumers.layer))
  )).pipe(Command.withDescription("All subscriptions, how far each is behind the log, and how much it has parked"))

const subscription = Argument.String("subscription").pipe(
  Argument.withDescription("The subscription's name, as the list shows it")
)

/** One that has a place in the log, or has had one and left something behind. */
const named = (name: string) =>
  Effect.gen(function*() {
    const { sql, table } = yield* Database.make
    const known = yield* sql`SELECT FROM ${table.checkpoints} WHERE subscription = ${name}
      UNION ALL (SELECT FROM ${table.parkedEvents} WHERE subscription = ${name} LIMIT 1)`
    if (known.length > 0) return name
    return yield* absent(`there is no subscription ${name}: one is known from when it first ran`)
  })

const parked = Command.make(
  "parked",
  { subscription, ...listFlags },
  ({ subscription, ...given }) => listParked(named(subscription), given)
).pipe(
  Command.withDescription("Events that a subscription has set aside, in the order of the log")
)

const retry = Command.make(
  "retry",
  { subscription, ...changeFlags },
  ({ subscription, ...given }) => changeParked("retried", named(subscription), given)
).pipe(
  Command.withDescription("Have parked events tried again; those behind them follow")
)

const discard = Command.make(
  "discard",
  { subscription, ...changeFlags },
  ({ subscription, ...given }) => changeParked("discarded", named(subscription), given)
).pipe(
  Command.withDescription("Give parked events up: the subscription will never have handled them")
)

export const command = Command.make("consumers").pipe(
  Command.withDescription("Who reads the log: how far behind they are, and what they have set aside"),
  Command.withSubcommands([list, parked, retry, discard])
)
