/** The routes that have entries of a kind. */
import type { Database } from "@zakops/migrations/Database"
import type { Fragment } from "effect/sql/Statement"

/**
 * The recursive CTE `names (name)`, to stand behind WITH RECURSIVE: the destinations of the entries `which` of the outbox `o`, and a NULL at
 * the end. Goes from one name to the next through the index of `which`, however many entries each has.
 */
export const routeNames = ({ sql, table }: Database, which: Fragment): Fragment =>
  sql`names AS (
      (SELECT o.destination AS name FROM ${table.outbox} o WHERE ${which} AND o.destination IS NOT NULL ORDER BY o.destination LIMIT 1)
      UNION ALL
      SELECT (SELECT o.destination FROM ${table.outbox} o WHERE ${which} AND o.destination > names.name ORDER BY o.destination LIMIT 1)
      FROM names WHERE names.name IS NOT NULL
    )`
