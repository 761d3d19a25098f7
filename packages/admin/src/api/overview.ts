/** How the outbox is: what waits and for how long, what comes in and goes out, what is dead and why. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { InvalidRequest } from "./errors.ts"
import { Count, Time } from "./values.ts"

/** Entries by state; see `EntryState`. */
export const StateCounts = Schema.Struct({
  pending: Count,
  behind: Count,
  held: Count,
  processing: Count,
  delivered: Count,
  dead: Count,
  discarded: Count
})

/** Dead letters with the same error, among the latest of them. Errors that differ only in numbers and ids are one. */
export const DeadByError = Schema.Struct({ error: Schema.String, count: Schema.Int, newest: Schema.NullOr(Time) })

export const Overview = Schema.Struct({
  /** When these figures were read, by the database's clock: a few seconds ago at most, or half a minute where nobody has asked for long. */
  at: Time,
  /** For how many milliseconds the oldest entry that is due has been waiting; null where none is due. */
  oldestPendingAge: Schema.NullOr(Schema.Finite),
  counts: StateCounts,
  /** Ordering keys that a dead entry holds up. */
  blockedKeys: Count,
  /** The largest groups first, at most 10. */
  deadByError: Schema.Array(DeadByError),
  /** True where there are more dead letters than the groups were made from. */
  deadSampled: Schema.Boolean
})
export type Overview = typeof Overview.Type

/** A line of the chart: `perSecond[n]` is the rate from `times[n]` on, for `step` seconds; null where nobody has counted. */
export const Series = Schema.Struct({
  kind: Schema.Literals(["emitted", "delivered", "failed", "dead", "fenced"]),
  /** Empty for what is emitted. */
  destination: Schema.String,
  perSecond: Schema.Array(Schema.NullOr(Schema.Finite))
})

export const Rates = Schema.Struct({
  /** Seconds. */
  step: Schema.Int,
  /** Seconds since 1970, the beginning of each step. */
  times: Schema.Array(Schema.Int),
  series: Schema.Array(Series)
})
export type Rates = typeof Rates.Type

export class OverviewGroup extends HttpApiGroup.make("overview")
  .add(
    HttpApiEndpoint.get("get", "/", { success: Overview }),
    HttpApiEndpoint.get("rates", "/rates", {
      query: {
        /** Seconds back from now: a minute to a day; an hour unless given. */
        last: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 60, maximum: 86_400 }))),
        /** Seconds of one step, a multiple of 10; such that there are about 120 unless given. */
        step: Schema.optional(
          Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 3600 }), Schema.isMultipleOf(10))
        )
      },
      success: Rates,
      error: InvalidRequest
    })
  )
  .middleware(Access)
  .prefix("/api/overview")
{}
