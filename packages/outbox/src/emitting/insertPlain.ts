/**
 * Writes one entry as most are: due now, with no key and no settings of its own.
 *
 * On the connection of the transaction itself, and its text put together once: an emit is as fast as an INSERT by hand.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type { CompiledStatement } from "../connecting/PipelinedConnection.ts"
import type { NewEntry } from "./Emission.ts"

export const isPlain = (entry: NewEntry): boolean =>
  entry.mode === "outbox" && entry.orderingKey === null && entry.retryWaits === null && entry.deliverAt === null &&
  entry.delay === 0 && entry.expiresAt === null && entry.dedupe === null

/** The values of the columns, in the order of the statement. */
const valuesOf = (entry: NewEntry): ReadonlyArray<unknown> => [
  entry.id,
  entry.correlationId,
  entry.aggregateType,
  entry.aggregateId,
  entry.eventType,
  entry.schemaVersion,
  entry.data,
  entry.traceId,
  entry.headers,
  entry.maxAttempts
]

const columnCount = 10

const statementOf = ({ sql, table }: Database, values: ReadonlyArray<unknown>, time: Fragment) =>
  sql`
    INSERT INTO ${table.outbox} (id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data,
      trace_id, headers, max_attempts, next_attempt_at, created_at)
    VALUES (${values[0]}, ${values[1]}, ${values[2]}, ${values[3]}, ${values[4]}, ${values[5]}, ${values[6]}, ${
    values[7]
  }, ${values[8]}, ${values[9]}, ${time}, ${time})`

/** The statement with its text made once: the database's own time is the same words each time. Another clock's is a parameter. */
export const plainStatement = (db: Database) => {
  const fixed = Exit.isExit(db.now) ? Exit.getSuccess(db.now as Exit.Exit<Fragment>) : Option.none()
  if (Option.isNone(fixed)) return undefined
  const time = fixed.value
  const [text] = statementOf(db, Array.from({ length: columnCount }, () => null), time).compile()
  return { time, of: (entry: NewEntry): CompiledStatement => [text, valuesOf(entry)] }
}

export const insertPlain = (db: Database) => {
  const fixed = plainStatement(db)

  /** `connection` is that of the transaction; without one a span is open for the statement. */
  return (entry: NewEntry, connection: Connection | undefined): Effect.Effect<unknown, SqlError> =>
    fixed !== undefined && connection !== undefined
      ? connection.execute(...fixed.of(entry), undefined)
      : Effect.flatMap(db.now, (time) => statementOf(db, valuesOf(entry), time))
}
