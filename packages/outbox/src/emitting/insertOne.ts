/**
 * Writes one entry, by a statement whose text is put together once, on the connection of the transaction itself: an emit is as fast as an
 * INSERT by hand (and one with a key takes 330 microseconds instead of 400, where nobody waits for the disk).
 */
import type { Database } from "@zakops/migrations/Database"
import type * as Effect from "effect/Effect"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import { lockedKey } from "../claiming/orderingKeys.ts"
import type { CompiledOnce, CompiledStatement } from "../connecting/compiledOnce.ts"
import { compiledOnce } from "../connecting/compiledOnce.ts"
import type { NewEntry } from "./Emission.ts"
import { asRow, namesOf, plainColumns, writtenColumns } from "./insertEntries.ts"

/** Due now, and delivered with no settings of its own but for a key and what its death does to that. */
export const isUsual = (entry: NewEntry): boolean =>
  entry.mode === "outbox" && entry.retryWaits === null && entry.deliverAt === null && entry.delay === 0 &&
  entry.expiresAt === null && entry.dedupe === null

/** Usual, and without a key: as most are. */
export const isPlain = (entry: NewEntry): boolean =>
  isUsual(entry) && entry.orderingKey === null && entry.onDead === "block"

const plainStatement = (db: Database) => {
  const { sql, table } = db
  return compiledOnce<NewEntry>(db, (value, time) =>
    sql`
      INSERT INTO ${table.outbox} (${sql.literal(namesOf(plainColumns))}, next_attempt_at, created_at)
      VALUES (${sql.csv(plainColumns.map(([, , of]) => sql`${value(of)}`))}, ${time}, ${time})`)
}

/** With all columns. The key is locked before the row is numbered: the number is given above the relation that locks. */
const wholeStatement = (db: Database, ordered: boolean) => {
  const { sql, table } = db
  return compiledOnce<NewEntry>(db, (value, time) => {
    const columns = sql.literal(writtenColumns)
    const locked = ordered
      ? sql`, ${lockedKey(db, value(({ orderingKey }) => orderingKey))} AS locked`
      : sql.literal("")
    return sql`INSERT INTO ${table.outbox} (${columns}, next_attempt_at, created_at, shadow)
      SELECT ${columns}, coalesce(deliver_at, ${time} + delay * interval '1 millisecond'), ${time}, mode = 'shadow'
      FROM ${asRow(sql, value)}${locked}`
  })
}

/** For entries that no deduplication key may leave out. */
export const insertOne = (db: Database) => {
  const plain = plainStatement(db)
  const whole = { unordered: wholeStatement(db, false), ordered: wholeStatement(db, true) }
  const statementOf = (entry: NewEntry): CompiledOnce<NewEntry, object> => {
    if (isPlain(entry)) return plain
    return entry.orderingKey === null ? whole.unordered : whole.ordered
  }
  return {
    /** `connection` is that of the transaction; without one a span is open for the statement. */
    insert: (entry: NewEntry, connection: Connection | undefined): Effect.Effect<unknown, SqlError> => {
      const { compiled, run } = statementOf(entry)
      return compiled !== undefined && connection !== undefined
        ? connection.execute(...compiled(entry), undefined)
        : run(entry)
    },
    /** The statement, to be sent later; undefined where the time is not the database's own. */
    compiled: (entry: NewEntry): CompiledStatement | undefined => statementOf(entry).compiled?.(entry)
  }
}
