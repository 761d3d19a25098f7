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
const loginOf = (role: keyof RoleNames) => `${roles[role]}_login`
const kinds = ["emitter", "worker", "reader"] as const

/** The tables in `schema`, the roles, and a user for each of them; gone when the file is done. */
export const layerDatabase = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* migrate
  yield* Effect.acquireRelease(applyRoles, () =>
    Effect.orDie(Effect.forEach(kinds, (role) =>
      Effect.gen(function*() {
        yield* sql`DROP OWNED BY ${sql(roles[role])}`
        yield* sql`DROP ROLE IF EXISTS ${sql(loginOf(role))}`
        yield* sql`DROP ROLE ${sql(roles[role])}`
      }), { discard: true })))
  for (const role of kinds) {
    yield* sql`CREATE ROLE ${sql(loginOf(role))} LOGIN IN ROLE ${sql(roles[role])} PASSWORD ${
      sql.literal(`'${password}'`)
    }`
  }
})).pipe(Layer.provideMerge(layerSchemaName(schema)), Layer.provideMerge(layerEmpty))

/** The URL of the test file's database for the user of a role. */
export const urlOf = (role: keyof RoleNames) =>
  Effect.map(DatabaseUrl, (url) => {
    const changed = new URL(url)
    changed.username = loginOf(role)
    changed.password = password
    return changed.toString()
  })

/** A client that has logged in as the user of a role. */
export const layerAs = (role: keyof RoleNames) =>
  Layer.unwrap(Effect.map(urlOf(role), (url) => PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })))
