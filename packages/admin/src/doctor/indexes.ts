/** Whether every index that a statement relies on is there and valid, and every table has its key. */
import { migrations } from "@zakops/migrations/Migrations"
import type { Tables } from "@zakops/migrations/SchemaName"
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "indexes"

/** A statement of the migrations without its comments, in one line. */
const inOneLine = (statement: string) => statement.replaceAll(/--.*$/gm, "").replaceAll(/\s+/g, " ").trim()

/** The indexes that the migrations leave behind, by name, with the statement that makes each. */
export const expectedIndexes = (names: Tables): ReadonlyMap<string, string> => {
  const expected = new Map<string, string>()
  for (const statement of migrations.flatMap((migration) => migration.statements(names)).map(inOneLine)) {
    const [, made] = /^CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?"?(\w+)"? ON /.exec(statement) ?? []
    const [, dropped] = /^DROP INDEX IF EXISTS \S*?"?(\w+)"?$/.exec(statement) ?? []
    if (made !== undefined) expected.set(made, statement)
    if (dropped !== undefined) expected.delete(dropped)
  }
  return expected
}

/** Built beside work rather than under a lock. */
const beside = (statement: string) => statement.replace(/INDEX (IF NOT EXISTS )?/, "INDEX CONCURRENTLY IF NOT EXISTS ")

export const indexes: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { schema, sql }, names }) {
    const there = yield* sql<{ index: string; valid: boolean; unique: boolean; table: string }>`
      SELECT c.relname AS index, i.indisvalid AND i.indisready AS valid, i.indisunique AS unique, t.relname AS table
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
      WHERE c.relnamespace = to_regnamespace(${names.schema}) ORDER BY c.relname`
    const found: Array<Finding> = []
    const expected = expectedIndexes(names)
    for (const [index, statement] of expected) {
      if (there.some((one) => one.index === index)) continue
      const unique = statement.startsWith("CREATE UNIQUE")
      found.push(finding(
        name,
        unique ? "serious" : "warning",
        `the index ${index} is missing`,
        unique ? "what must not be there twice is no longer refused" : "statements that rely on it read whole tables",
        beside(statement)
      ))
    }
    for (const { index, unique, valid } of there) {
      if (valid) continue
      found.push(finding(
        name,
        unique ? "serious" : "warning",
        `the index ${index} is invalid`,
        "it costs each write, and serves no read: CREATE INDEX CONCURRENTLY or REINDEX CONCURRENTLY did not come to its end",
        expected.has(index) || unique
          ? `REINDEX INDEX CONCURRENTLY "${schema}"."${index}"`
          : `DROP INDEX CONCURRENTLY "${schema}"."${index}"`
      ))
    }
    const keyless = yield* sql<{ table: string; columns: string }>`
      SELECT need.table, need.columns FROM (VALUES ('outbox', 'id'), ('agent_events', 'id'), ('inbox', 'consumer_id, event_id')) AS need ("table", columns)
      WHERE NOT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = to_regclass(${`${names.schema}.`} || need.table) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
          AND need.columns = (SELECT string_agg(a.attname, ', ' ORDER BY a.attname) FROM pg_attribute a
            WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])))`
    for (const { columns, table } of keyless) {
      found.push(finding(
        name,
        "serious",
        `${table} has no unique index on (${columns})`,
        table === "inbox"
          ? "an event could be handled twice"
          : "an event could be written twice, and settling one entry reads the whole table",
        `CREATE UNIQUE INDEX CONCURRENTLY ON "${schema}"."${table}" (${columns})`
      ))
    }
    return orOk(found, name, `all ${expected.size} indexes are there and valid`)
  })
}
