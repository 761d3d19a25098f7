/** Users that log in as the roles of a schema, on a database of the test file's own. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { migrate } from "@zakops/migrations/Migrations"
import type { RoleNames } from "@zakops/migrations/roles"
import { applyRoles, roleNames } from "@zakops/migrations/roles"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { randomBytes } from "node:crypto"
import { DatabaseUrl, layerEmpty } from "./TestDatabase.ts"

/** Roles belong to the whole server, which all test files share: the schema's name keeps them apart. */
export const schema = `s${randomBytes(4).toString("hex")}`

const roles = roleNames(schema)
const password = randomBytes(8).toString("hex")
const kinds = ["emitter", "worker", "reader"] as const

/** Who logs in: as one of the roles, or as a program that both emits and delivers. */
type Login = keyof RoleNames | "both"
const loginOf = (login: Login) => login === "both" ? `${schema}_both_login` : `${roles[login]}_login`

/** The tables in `schema`, the roles, and a user for each of them; gone when the file is done. */
export const layerDatabase = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* migrate
  yield* Effect.acquireRelease(applyRoles, () =>
    Effect.orDie(Effect.gen(function*() {
      for (const login of [...kinds, "both"] as const) yield* sql`DROP ROLE IF EXISTS ${sql(loginOf(login))}`
      for (const role of kinds) {
        yield* sql`DROP OWNED BY ${sql(roles[role])}`
        yield* sql`DROP ROLE ${sql(roles[role])}`
      }
    })))
  for (const login of [...kinds, "both"] as const) {
    yield* sql`CREATE ROLE ${sql(loginOf(login))} LOGIN PASSWORD ${sql.literal(`'${password}'`)}`
    for (const role of login === "both" ? ["emitter", "worker"] as const : [login]) {
      yield* sql`GRANT ${sql(roles[role])} TO ${sql(loginOf(login))}`
    }
  }
})).pipe(Layer.provideMerge(layerSchemaName(schema)), Layer.provideMerge(layerEmpty))

/** The URL of the test file's database for the user of a role. */
export const urlOf = (login: Login) =>
  Effect.map(DatabaseUrl, (url) => {
    const changed = new URL(url)
    changed.username = loginOf(login)
    changed.password = password
    return changed.toString()
  })

/** A client that has logged in as the user of a role. */
export const layerAs = (login: Login) =>
  Layer.unwrap(Effect.map(urlOf(login), (url) => PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })))
