/** The database that DATABASE_URL names. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { connectionSettings } from "@zakops/outbox/connecting/ConnectionSettings"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { misuse } from "./Problem.ts"

const form = "postgres://user:password@host:5432/database"

/** As the client knows them. */
const sslModes: ReadonlyArray<string> = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

const isEncoded = (part: string) => {
  try {
    decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** The URL, and how it may be shown. Fails with a `Problem` where it is missing or is no Postgres URL. */
export const databaseUrl = Effect.gen(function*() {
  const given = yield* Effect.orDie(Config.option(Config.String("DATABASE_URL")))
  const text = Option.getOrElse(given, () => "").trim()
  if (text === "") return yield* misuse(`DATABASE_URL is not set: give it as ${form}`)
  if (!URL.canParse(text) || !/^postgres(ql)?:$/.test(new URL(text).protocol)) {
    return yield* misuse(`DATABASE_URL is no Postgres URL: give it as ${form}`)
  }
  const url = new URL(text)
  const undecodable = [url.username, url.password, url.pathname].some((part) => !isEncoded(part))
  if (undecodable) {
    return yield* misuse("DATABASE_URL has a % that begins no encoded character: write % as %25, and @ : / # ? alike")
  }
  const mode = url.searchParams.get("sslmode")
  if (mode !== null && !sslModes.includes(mode)) {
    return yield* misuse(`DATABASE_URL has sslmode=${mode.slice(0, 50)}: allowed are ${sslModes.join(", ")}`)
  }
  return { url: Redacted.make(text), shown: `${url.host || "localhost"}${url.pathname}`.slice(0, 200) }
})

/** Through a pooler in transaction mode a session keeps no statements. */
const poolerInUse = Effect.map(connectionSettings, ({ pooler }) => pooler === "transaction")

const clientOf = (url: Redacted.Redacted) =>
  Effect.flatMap(poolerInUse, (pooler) => PgClient.make({ url, applicationName: "zakops", prepare: !pooler }))

/** A client that has reached the server: a wrong address, password or database fails here, before anything else is tried. */
export const layerClient = (url: Redacted.Redacted) =>
  PgClient.layerFrom(Effect.tap(clientOf(url), (client) => client`SELECT 1`))

/** A client that connects when it is first used. */
export const layerLazyClient = (url: Redacted.Redacted) => PgClient.layerFrom(clientOf(url))
