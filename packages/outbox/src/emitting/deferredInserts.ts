/** Writes the entries that a `PipelinedConnection` has deferred, of whatever number of emits they are. */
import type { Database } from "@zakops/migrations/Database"
import type { CompiledStatement } from "../connecting/compiledOnce.ts"
import { fixedTime } from "../connecting/compiledOnce.ts"
import type { NewEntry } from "./Emission.ts"
import { asRelation, inParts, insertFrom } from "./insertEntries.ts"

/**
 * What can be written as late as with COMMIT: nobody is to be asked whether, and no other transaction has to be waited for, which might have
 * the same key, or the same id where that was given.
 */
export const canDefer = (entry: NewEntry): boolean =>
  entry.mode === "outbox" && entry.orderingKey === null && entry.dedupe === null && !entry.isIdGiven

/**
 * Gives the statements for entries; undefined where the time is not the database's own, and has to be asked for.
 *
 * @param compiledOne the statement of one
 */
export const deferredInserts = (
  db: Database,
  compiledOne: (entry: NewEntry) => CompiledStatement | undefined
): ((entries: ReadonlyArray<NewEntry>) => ReadonlyArray<CompiledStatement>) | undefined => {
  const time = fixedTime(db)
  if (time === undefined) return undefined
  return (entries) => {
    const [first] = entries
    const one = first !== undefined && entries.length === 1 ? compiledOne(first) : undefined
    return one !== undefined
      ? [one]
      : inParts(entries).map((part) => db.sql`${insertFrom(db, asRelation(db.sql, part), time, part)}`.compile())
  }
}
