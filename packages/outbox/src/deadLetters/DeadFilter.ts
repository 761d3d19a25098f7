/**
 * Which dead letters are meant: what is asked for, checked before any statement is sent, and as the SQL that finds them.
 *
 * What changes entries in bulk takes a filter with at least one condition, or `"all"`: forgetting the condition is an error, not
 * everything.
 */
import * as JsonText from "@zakops/events/JsonText"
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Fragment } from "effect/sql/Statement"
import { uuid } from "../emitting/identifiers.ts"

/** All conditions that are given have to hold. */
export interface DeadFilter {
  /** Those with these ids. An empty list means none. */
  readonly ids?: ReadonlyArray<string> | undefined
  /** Those of this event type; `""` is for rows that have none. */
  readonly type?: string | undefined
  /** Those whose error contains this text, as it is written. */
  readonly error?: string | undefined
  /** Those with this ordering key. */
  readonly key?: string | undefined
  /** Those of this destination: a route's name, or `""` for the main one. */
  readonly destination?: string | undefined
  /** Those that died at least this long ago, by the database's clock. */
  readonly olderThan?: Duration.Input | undefined
  /** Those that died less than this long ago. */
  readonly newerThan?: Duration.Input | undefined
}

/** What is to be changed: what a filter with at least one condition finds, or in so many words `"all"`. */
export type DeadSelection = "all" | DeadFilter

/** A filter without a condition would have changed every dead letter there is. */
export class EmptyFilter extends Schema.TaggedError<EmptyFilter>()("EmptyFilter", { action: Schema.String }) {
  override get message() {
    return `${this.action} refused: the filter has no condition; "all" is how to ask for every dead letter`
  }
}

/** A value that cannot be meant, refused before anything was done. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  field: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `${this.field} ${this.problem}`
  }
}

/** A filter whose values have been looked at; ages are milliseconds. */
export interface CheckedFilter {
  readonly ids?: ReadonlyArray<string>
  readonly type?: string
  readonly error?: string
  readonly key?: string
  readonly destination?: string
  readonly olderThan?: number
  readonly newerThan?: number
}

const texts = ["type", "error", "key", "destination"] as const
const ages = ["olderThan", "newerThan"] as const

export const checkFilter = Effect.fnUntraced(function*(filter: DeadFilter) {
  const checked: { -readonly [Name in keyof CheckedFilter]: CheckedFilter[Name] } = {}
  if (filter.ids !== undefined) {
    const wrong = filter.ids.find((id) => !uuid.test(id))
    if (wrong !== undefined) {
      return yield* new InvalidRequest({ field: "ids", problem: `contains ${JSON.stringify(wrong)}, which is no UUID` })
    }
    checked.ids = filter.ids
  }
  for (const name of texts) {
    const text = filter[name]
    if (text === undefined) continue
    checked[name] = yield* checkText(name, text)
  }
  // Every error contains it.
  if (checked.error === "") delete checked.error
  for (const name of ages) {
    const age = filter[name]
    if (age === undefined) continue
    const millis = Option.map(Duration.fromInput(age), Duration.toMillis)
    if (Option.isNone(millis) || !(millis.value >= 0 && millis.value <= longestAge)) {
      return yield* new InvalidRequest({ field: name, problem: `is ${String(age)}: allowed is up to 100 years` })
    }
    checked[name] = millis.value
  }
  return checked as CheckedFilter
})

const longestAge = Duration.toMillis(Duration.days(36_525))

export const checkText = Effect.fnUntraced(function*(field: string, text: string) {
  const problem = JsonText.textProblem(text)
  return problem === undefined ? text : yield* new InvalidRequest({ field, problem })
})

/** Who does something by hand, as it will stand in the audit. */
export const checkBy = Effect.fnUntraced(function*(by: string) {
  if (by.trim() === "") return yield* new InvalidRequest({ field: "by", problem: "is empty: say who does it" })
  return yield* checkText("by", by)
})

/** The conditions of a selection; `action` is what is refused when there are none. */
export const checkSelection = Effect.fnUntraced(function*(selection: DeadSelection, action: string) {
  if (selection === "all") return {}
  const checked = yield* checkFilter(selection)
  return Object.keys(checked).length > 0 ? checked : yield* new EmptyFilter({ action })
})

/** The selection as the audit keeps it; ages are relative to the time of the audit row. */
export const toAudit = (checked: CheckedFilter): Record<string, unknown> => {
  const { newerThan, olderThan, ...rest } = checked
  const filter = {
    ...rest,
    ...(olderThan === undefined ? {} : { olderThan: Duration.format(Duration.millis(olderThan)) }),
    ...(newerThan === undefined ? {} : { newerThan: Duration.format(Duration.millis(newerThan)) })
  }
  return Object.keys(filter).length === 0 ? { all: true } : filter
}

/** A dead letter, of the outbox as `o`. Spelled so that the index outbox_dead serves it: (seq), of what is dead and not discarded. */
export const isDead = "o.finished AND o.delivered_at IS NULL AND o.discarded_at IS NULL AND o.status = 'dead'"

/** When it died. Rows that older builds or other programs have put there may not say so. */
export const diedAt = "coalesce(o.died_at, o.last_attempt_at, o.created_at)"

/** The condition on the outbox as `o` for the dead letters of a filter; ages are counted back from `time`. */
export const whereDead = ({ sql }: Database, filter: CheckedFilter, time: Fragment): Fragment => {
  const died = sql.literal(`coalesce(${diedAt}, '-infinity')`)
  const before = (millis: number) => sql`${time} - ${millis}::float8 * interval '1 millisecond'`
  let where = sql`${sql.literal(isDead)}`
  if (filter.ids !== undefined) where = sql`${where} AND o.id = ANY (${filter.ids}::uuid[])`
  if (filter.type !== undefined) where = sql`${where} AND coalesce(o.event_type, '') = ${filter.type}`
  if (filter.error !== undefined) where = sql`${where} AND strpos(o.error_message, ${filter.error}) > 0`
  if (filter.key !== undefined) where = sql`${where} AND o.ordering_key = ${filter.key}`
  if (filter.destination !== undefined) {
    where = sql`${where} AND o.destination IS NOT DISTINCT FROM ${
      filter.destination === "" ? null : filter.destination
    }`
  }
  if (filter.olderThan !== undefined) where = sql`${where} AND ${died} <= ${before(filter.olderThan)}`
  if (filter.newerThan !== undefined) where = sql`${where} AND ${died} > ${before(filter.newerThan)}`
  return where
}
