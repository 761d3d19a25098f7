/** Whether indexes are far larger than what they hold. */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, size } from "./Check.ts"

const name = "bloat"

/** More than an entry of any of the indexes takes, at half-filled pages. */
const entryBytes = 200

export const bloat: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { schema, sql }, limits, names }) {
    // reltuples is what the last VACUUM or ANALYZE has counted; -1 before the first.
    const rows = yield* sql<{ index: string; bytes: number; entries: number }>`
      SELECT c.relname AS index, pg_relation_size(c.oid)::float8 AS bytes, c.reltuples::float8 AS entries
      FROM pg_class c WHERE c.relnamespace = to_regnamespace(${names.schema}) AND c.relkind = 'i' AND c.reltuples >= 0
      ORDER BY 2 DESC`
    const found = rows.filter(({ bytes, entries }) => bytes >= limits.indexBytes && bytes > 4 * entries * entryBytes)
    return orOk(
      found.map(({ bytes, entries, index }) =>
        finding(
          name,
          "notice",
          `the index ${index} is mostly empty`,
          `${size(bytes)} for about ${
            Math.round(entries)
          } rows: what once waited or was deleted has left room that only new rows use`,
          `REINDEX INDEX CONCURRENTLY "${schema}"."${index}"`
        )
      ),
      name,
      "no index is larger than it has to be"
    )
  })
}
