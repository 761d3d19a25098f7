/** Whether the user of this connection, and the roles that were made, may do what they are for. */
import { roleNames, roleStatements } from "@zakops/migrations/roles"
import type { Tables } from "@zakops/migrations/SchemaName"
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, some } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "privileges"

/** One right to a table, or to one column of it. */
interface Right {
  /** null: to every sequence of the schema. */
  readonly relation: string | null
  readonly privilege: string
  readonly column: string | null
}

/**
 * The rights that the statement gives to `role`. What is read here are the statements of `zakops roles`: GRANT SELECT, UPDATE (a, b) ON t, u
 * TO "role", and ON ALL SEQUENCES. Rights to the schema itself are left out.
 */
const rightsOf = (statement: string, role: string): ReadonlyArray<Right> => {
  const [, privileges = "", tables = "", to = ""] = /^GRANT (.+?)\s+ON (.+?)\s+TO (.+)$/s.exec(statement) ?? []
  if (!to.includes(`"${role}"`) || tables.startsWith("SCHEMA")) return []
  return tables.split(",").flatMap((relation) =>
    [...privileges.matchAll(/(\w+)(?:\s*\(([^)]*)\))?(?:,|$)/g)].flatMap(([, privilege = "", columns]) =>
      (columns?.split(",") ?? [null]).map((column) => ({
        relation: relation.startsWith("ALL SEQUENCES") ? null : relation.trim(),
        privilege,
        column: column?.trim() ?? null
      }))
    )
  )
}

/** What a role needs, by what `zakops roles` grants to it. */
export const needed = (schema: string, names: Tables, role: string): ReadonlyArray<Right> =>
  roleStatements(schema, names).flatMap((statement) => rightsOf(statement, role))

export const privileges: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { schema, sql, table }, names }) {
    /** Which of the rights `user` lacks, as words; null where there is no such user. */
    const lacking = Effect.fnUntraced(function*(user: string, rights: ReadonlyArray<Right>) {
      const [exists] = yield* sql<{ exists: boolean }>`SELECT to_regrole(${`"${user}"`}) IS NOT NULL AS exists`
      if (exists?.exists !== true) return null
      const rows = yield* sql<{ what: string }>`
        WITH need AS MATERIALIZED (
          -- First what is meant: to ask for a column that is none is an error.
          SELECT c.oid, c.relname, given.privilege, given."column"
          FROM jsonb_to_recordset(${
        JSON.stringify(rights)
      }::jsonb) AS given (relation text, privilege text, "column" text)
          JOIN pg_class c ON c.oid = to_regclass(given.relation)
            OR given.relation IS NULL AND c.relkind = 'S' AND c.relnamespace = to_regnamespace(${names.schema})
        )
        SELECT DISTINCT privilege || ' on ' || relname AS what FROM need
        WHERE NOT CASE
          WHEN "column" IS NULL THEN has_table_privilege(${user}::name, oid, privilege)
          ELSE has_column_privilege(${user}::name, oid, "column", privilege)
        END ORDER BY 1`
      return rows.map(({ what }) => what)
    })

    const roles = roleNames(schema)
    const [me] = yield* sql<{ user: string; superuser: boolean; delivers: boolean; usage: boolean }>`
      SELECT current_user::text AS user, rolsuper AS superuser,
        has_column_privilege(current_user, ${names.outbox}, 'status', 'UPDATE') AS delivers,
        has_schema_privilege(current_user, ${schema}, 'USAGE') AS usage
      FROM pg_roles WHERE rolname = current_user`
    if (me === undefined) return []
    const mine = Effect.map(
      Effect.forEach(
        [roles.worker, roles.emitter, roles.reader],
        (role) => lacking(me.user, needed(schema, names, role))
      ),
      (all) => all.map((lack) => lack ?? [])
    )
    const [deliver = [], emit = [], read = []] = yield* mine
    const found: Array<Finding> = []
    const grant = `zakops roles --apply; then GRANT "${roles.worker}" TO "${me.user}"`

    if (me.superuser) {
      found.push(finding(
        name,
        "notice",
        `${me.user} is a superuser`,
        "a worker or a program needs far less",
        `zakops roles --apply; then make a user for each program, and grant it ${roles.worker} or ${roles.emitter}`
      ))
    } else if (me.delivers && deliver.length > 0) {
      found.push(
        finding(name, "serious", `${me.user} may not do all that a worker does`, `lacks ${some(deliver)}`, grant)
      )
    } else if (!me.delivers && emit.length > 0 && read.length > 0) {
      found.push(
        finding(
          name,
          "warning",
          `${me.user} may neither deliver, nor emit, nor read everything`,
          `lacks ${some(read)}`,
          grant
        )
      )
    } else if (!me.delivers) {
      found.push(finding(
        name,
        "notice",
        `${me.user} may not deliver`,
        emit.length === 0 ? "it may emit" : "it may read",
        `Nothing, if no worker runs as ${me.user}; otherwise ${grant}`
      ))
    }

    for (const role of [roles.emitter, roles.worker, roles.reader]) {
      const lack = yield* lacking(role, needed(schema, names, role))
      if (lack === null || lack.length === 0) continue
      found.push(finding(
        name,
        "serious",
        `the role ${role} lacks rights that this version needs`,
        `lacks ${some(lack)}: the tables were migrated, or rights taken back, since zakops roles --apply ran`,
        "zakops roles --apply"
      ))
    }
    // Named so that a missing right to the table itself shows here rather than in the next check.
    yield* sql`SELECT FROM ${table.outbox} LIMIT 0`
    return orOk(found, name, `${me.user} may do all that a worker does`)
  })
}
