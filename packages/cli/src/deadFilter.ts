/** The flags that say which dead letters are meant, and who means them. */
import type { DeadFilter, DeadSelection } from "@zakops/outbox"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hostname, userInfo } from "node:os"
import { misuse } from "./Problem.ts"

const optional = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

/** Each that is given has to hold. */
export const filterFlags = {
  ids: Flag.String("id").pipe(
    Flag.atLeast(0),
    Flag.withDefault([]),
    Flag.withDescription("The id of an entry; may be repeated")
  ),
  type: optional("type", "Those of this event type"),
  error: optional("error", "Those whose error contains this text"),
  key: optional("key", "Those with this ordering key"),
  destination: optional("destination", "Those of the route to this destination"),
  olderThan: optional("older-than", "Those that died at least this long ago: 90s, 15m, 2h, 7d"),
  newerThan: optional("newer-than", "Those that died less than this long ago: 90s, 15m, 2h, 7d")
}

export interface GivenFilter {
  readonly ids: ReadonlyArray<string>
  readonly type: Option.Option<string>
  readonly error: Option.Option<string>
  readonly key: Option.Option<string>
  readonly destination: Option.Option<string>
  readonly olderThan: Option.Option<string>
  readonly newerThan: Option.Option<string>
}

const units = { s: Duration.seconds, m: Duration.minutes, h: Duration.hours, d: Duration.days }

/** As flags give an age: 90s, 15m, 2h, 7d. */
export const toAge = (flag: string, given: Option.Option<string>) => {
  if (Option.isNone(given)) return Effect.undefined
  const [, number, unit] = /^(\d+)([smhd])$/.exec(given.value) ?? []
  return number === undefined || unit === undefined
    ? misuse(`--${flag} is ${JSON.stringify(given.value)}: give it as a number and s, m, h or d, like 15m`)
    : Effect.succeed(units[unit as keyof typeof units](Number(number)))
}

export const toFilter = Effect.fnUntraced(function*(given: GivenFilter) {
  return {
    ids: given.ids.length === 0 ? undefined : given.ids,
    type: Option.getOrUndefined(given.type),
    error: Option.getOrUndefined(given.error),
    key: Option.getOrUndefined(given.key),
    destination: Option.getOrUndefined(given.destination),
    olderThan: yield* toAge("older-than", given.olderThan),
    newerThan: yield* toAge("newer-than", given.newerThan)
  } satisfies DeadFilter
})

export const all = Flag.Boolean("all").pipe(Flag.withDefault(false), Flag.withDescription("Every dead letter there is"))

/** Either conditions or `--all`, so that a forgotten condition changes nothing. */
export const toSelection = Effect.fnUntraced(function*(given: GivenFilter & { readonly all: boolean }) {
  const filter = yield* toFilter(given)
  const conditions = Object.values(filter).some((value) => value !== undefined)
  if (conditions === given.all) {
    return yield* misuse(
      conditions
        ? "--all means every dead letter: give it without conditions"
        : "say which dead letters: --id, --type, --error, --key, --destination, --older-than, --newer-than, or --all for every one"
    )
  }
  return given.all ? "all" : filter as DeadSelection
})

export const json = Flag.Boolean("json").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Print JSON instead of a table")
)

export const by = Flag.String("by").pipe(
  Flag.optional,
  Flag.withDescription("Who does it, for the audit; the user of the system at this host if it is not given")
)

/** A user id that the system has no name for is no reason to refuse. */
const systemUser = Effect.orElseSucceed(Effect.try(() => userInfo().username), () => `uid ${process.getuid?.()}`)

export const operator = (given: Option.Option<string>) =>
  Option.match(given, {
    onNone: () => Effect.map(systemUser, (user) => `${user}@${hostname()}`),
    onSome: Effect.succeed
  })
