/** The database that DATABASE_URL names. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { connectionSettings } from "@zakops/outbox/connecting/ConnectionSettings"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { Problem } from "./Problem.ts"

const form = "postgres://user:password@host:5432/database"

/** The URL, and how it may be shown. Fails with a `Problem` where it is missing or is no Postgres URL. */
export const databaseUrl = Effect.gen(function*() {
  const given = yield* Effect.orDie(Config.option(Config.String("DATABASE_URL")))
  const text = Option.getOrElse(given, () => "").trim()
  if (text === "") return yield* new Problem({ line: `DATABASE_URL is not set: give it as ${form}` })
  if (!URL.canParse(text) || !/^postgres(ql)?:$/.test(new URL(text).protocol)) {
    return yield* new Problem({ line: `DATABASE_URL is no Postgres URL: give it as ${form}` })
  }
  const url = new URL(text)
  return { url: Redacted.make(text), shown: `${url.host || "localhost"}${url.pathname}`.slice(0, 200) }
})

/** Through a pooler in transaction mode a session keeps no statements. */
const poolerInUse = Effect.map(connectionSettings, ({ pooler }) => pooler === "transaction")

/** A client that has reached the server: a wrong address, password or database fails here, before anything else is tried. */
export const layerClient = (url: Redacted.Redacted) =>
  PgClient.layerFrom(Effect.gen(function*() {
    const client = yield* PgClient.make({ url, applicationName: "zakops", prepare: !(yield* poolerInUse) })
    yield* client`SELECT 1`
    return client
  }))
