/**
 * Writes entries that have a deduplication key only where none of their type with that key was written within the window.
 *
 * The key's row decides, and is written in the same transaction as the entry: of two transactions at the same time the second waits for
 * the first to end, and writes only if that was rolled back.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { NewEntry } from "./Emission.ts"

/** `insert` writes. Gives the id of each entry as it stands in the outbox: that of the first with its key, where it was not written itself. */
export const insertDeduplicated = (db: Database) => {
  const takeKeys = takeDedupeKeys(db)
  const find = findFirst(db)
  return Effect.fnUntraced(
    function*(
      entries: ReadonlyArray<NewEntry>,
      insert: (entries: ReadonlyArray<NewEntry>) => Effect.Effect<void, SqlError>
    ) {
      // Within one call, too, the first of a key is the one that counts.
      const firsts = new Map<string, NewEntry>()
      for (const entry of entries) {
        const key = keyOf(entry)
        if (key !== undefined && !firsts.has(key)) firsts.set(key, entry)
      }
      const candidates = [...firsts.values()]
      const taken = new Set(yield* takeKeys(candidates))
      const others = new Map(yield* find(candidates.filter((entry) => !taken.has(entry.id))))
      const firstOf = (entry: NewEntry) => firsts.get(keyOf(entry) ?? "") ?? entry
      // By the entry, not by its id: who emits the same twice may well give it the same id.
      const written = entries.filter((entry) =>
        entry.dedupe === null || (firstOf(entry) === entry && !others.has(entry.id))
      )
      yield* insert(written)
      const ids = entries.map((entry) => {
        const { id } = firstOf(entry)
        return others.get(id) ?? id
      })
      return { ids, written: written[0]?.id }
    }
  )
}

const keyOf = ({ dedupe, eventType }: NewEntry) => dedupe === null ? undefined : JSON.stringify([eventType, dedupe.key])

/** Takes the keys that nobody holds, or whose window is over, for these entries, and gives the ids of those that have theirs now. */
const takeDedupeKeys = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(entries: ReadonlyArray<NewEntry>) {
    const time = yield* now
    const rows = yield* sql<{ id: string }>`
      INSERT INTO ${table.dedupeKeys} AS held (event_type, dedupe_key, entry_id, until)
      SELECT event_type, dedupe_key, entry_id, ${time} + duration * interval '1 millisecond'
      FROM jsonb_to_recordset(${toJson(entries)}::jsonb)
        AS wanted (event_type varchar, dedupe_key varchar, entry_id uuid, duration float8)
      -- In one order, so that two transactions wait for each other rather than deadlock.
      ORDER BY event_type, dedupe_key
      ON CONFLICT (event_type, dedupe_key) DO UPDATE SET entry_id = excluded.entry_id, until = excluded.until
        WHERE held.until <= ${time}
      RETURNING entry_id AS id`
    return rows.map(({ id }) => id)
  })

/** The entries that hold the keys instead: a statement of its own, to see what was committed while the keys were waited for. */
const findFirst = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*(entries: ReadonlyArray<NewEntry>) {
    if (entries.length === 0) return []
    const rows = yield* sql<{ mine: string; first: string }>`
      SELECT wanted.entry_id AS mine, held.entry_id AS first
      FROM jsonb_to_recordset(${
      toJson(entries)
    }::jsonb) AS wanted (event_type varchar, dedupe_key varchar, entry_id uuid)
      JOIN ${table.dedupeKeys} AS held USING (event_type, dedupe_key)`
    return rows.map(({ first, mine }) => [mine, first] as const)
  })

const toJson = (entries: ReadonlyArray<NewEntry>) =>
  JSON.stringify(entries.map(({ dedupe, eventType, id }) => ({
    event_type: eventType,
    dedupe_key: dedupe?.key,
    entry_id: id,
    duration: dedupe?.window
  })))
