/**
 * The account of a rate limit, one row of zakops.flow for each destination or type, shared by all processes.
 *
 * `used_until` is the time at which all that was drawn will have been earned back: a period's limit may be drawn at once, and no more than
 * the limit in any period after that (the generic cell rate algorithm, ITU-T I.371).
 */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Rate } from "../DeliveryLimits.ts"

/** Whose account it is. */
export interface Account {
  readonly kind: "type" | "destination"
  readonly name: string
  readonly rate: Rate
}

/** Milliseconds in which one event is earned. */
export const millisForOne = ({ limit, per }: Rate): number => Duration.toMillis(Duration.fromInputUnsafe(per)) / limit

/** Draws up to `wanted`, and gives how many: 0 when the limit is used up. */
export const drawFromRate = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*({ kind, name, rate }: Account, wanted: number) {
    const time = yield* now
    const one = sql`${millisForOne(rate)}::float8 * interval '1 millisecond'`
    // No account is fuller than that: what lies beyond it (a smaller limit by now, or a row that somebody wrote) would close it for long.
    const full = sql`(${time} + ${rate.limit}::int * ${one})`
    yield* sql`INSERT INTO ${table.flow} (kind, name) VALUES (${kind}, ${name}) ON CONFLICT DO NOTHING`
    const [row] = yield* sql<{ drawn: number }>`
      WITH account AS (
        SELECT used, used_until > ${full} AS beyond, least(${wanted}::int, floor(1e-6 + extract(epoch FROM
            ${full} - used) * 1000 / ${millisForOne(rate)}::float8)::int) AS drawn
        FROM (
          SELECT used_until, least(greatest(coalesce(used_until, ${time}), ${time}), ${full}) AS used
          FROM ${table.flow} WHERE kind = ${kind} AND name = ${name} FOR UPDATE
        ) AS row
      )
      UPDATE ${table.flow} SET used_until = account.used + account.drawn * ${one}
      FROM account WHERE kind = ${kind} AND name = ${name} AND (account.drawn > 0 OR account.beyond)
      RETURNING account.drawn`
    return row?.drawn ?? 0
  })

/** Gives back what was drawn and not used. */
export const giveBackToRate = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*({ kind, name, rate }: Account, unused: number) {
    if (unused === 0) return
    yield* sql`
      UPDATE ${table.flow} SET used_until = used_until - ${
      unused * millisForOne(rate)
    }::float8 * interval '1 millisecond'
      WHERE kind = ${kind} AND name = ${name}`
  })
