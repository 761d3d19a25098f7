/**
 * How connections behave that the product opens for itself: the processor's pool, and the listeners'.
 *
 * Read from the environment wherever such a connection is opened. A bad value fails with `InvalidSetting`.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { InvalidSetting } from "../InvalidSetting.ts"
import { oneOf, read, seconds, whole } from "./readSetting.ts"

export interface ConnectionSettings {
  /** `OUTBOX_POOLER`: `transaction` where the database is reached through a pooler that lends a session for one transaction. Default `none`. */
  readonly pooler: "none" | "transaction"
  /** `DIRECT_URL`: past the pooler, for those who listen. */
  readonly directUrl: Option.Option<Redacted.Redacted>
  /** `OUTBOX_POOL_SIZE`: connections of the processor's own. Default 4. */
  readonly poolSize: number
  /** `OUTBOX_STATEMENT_TIMEOUT`, in seconds: when one of the processor's statements is given up. Default 60. Not through a pooler. */
  readonly statementTimeout: Duration.Duration
}

const readUrl = Effect.gen(function*() {
  const given = yield* Effect.orDie(Config.option(Config.String("DIRECT_URL")))
  if (Option.isNone(given) || given.value.trim() === "") return Option.none<Redacted.Redacted>()
  const text = given.value.trim()
  if (!URL.canParse(text) || !/^postgres(ql)?:$/.test(new URL(text).protocol)) {
    return yield* new InvalidSetting({
      variable: "DIRECT_URL",
      // It may hold a password.
      value: "...",
      allowed: "a Postgres URL: postgres://user:password@host:5432/database"
    })
  }
  return Option.some(Redacted.make(text))
})

export const connectionSettings: Effect.Effect<ConnectionSettings, InvalidSetting> = Effect.all({
  pooler: read(oneOf("OUTBOX_POOLER", "none", ["none", "transaction"])),
  directUrl: readUrl,
  poolSize: read(whole("OUTBOX_POOL_SIZE", 4, 2, 100)),
  statementTimeout: read(seconds("OUTBOX_STATEMENT_TIMEOUT", 60, 1, 3600))
})

/**
 * The same plans whatever the statistics say: a table that was empty when a statement was first planned may hold a million entries a minute
 * later, long before it is analyzed. All that the processor looks for has an index. Left to itself, Postgres plans each claim anew, since it
 * takes an unknown LIMIT for a large one (0.9 of 6 ms for 500 entries), and may compile it as well (80 ms).
 */
const planning = {
  plan_cache_mode: "force_generic_plan",
  enable_seqscan: "off",
  enable_bitmapscan: "off",
  enable_sort: "off",
  jit: "off"
}

/**
 * A client of the processor's own, on the application's database: what exhausts the application's pool does not stop the processor, and the
 * other way round. Opens connections as they are needed.
 */
export const processorClient = Effect.gen(function*() {
  const { config } = yield* PgClient.PgClient
  const { pooler, poolSize, statementTimeout } = yield* connectionSettings
  const context = yield* Layer.build(Layer.fresh(PgClient.layer({
    ...config,
    applicationName: "zakops outbox processor",
    minConnections: 0,
    maxConnections: poolSize,
    ...(pooler === "transaction"
      // Neither outlasts a transaction there.
      ? { prepare: false }
      : {
        startupParameters: {
          ...config.startupParameters,
          ...planning,
          statement_timeout: String(Duration.toMillis(statementTimeout))
        }
      })
  })))
  return Context.get(context, SqlClient)
})
