/** Where reading the log begins, and what becomes of it where the log cannot be read. */
import { SourceFailed } from "@zakops/events/EventSource"
import type * as Database from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import type { Cursor } from "./Cursor.ts"
import { CursorOfAnotherServer, start, toText } from "./Cursor.ts"
import { outlastTrouble } from "./followLog.ts"
import { currentEnd } from "./readLog.ts"
import { UnreadableRow } from "./RecordedEvent.ts"
import { RestoredFromDump } from "./restoredLog.ts"

/** The first event of the log; what commits from now on; or after a cursor that was kept elsewhere. */
export type StartFrom = "start" | "now" | Cursor

/** @param subscription whose checkpoint comes before a cursor, if it has one */
export const cursorOf = (
  db: Database.Database,
  from: StartFrom,
  subscription?: string
): Effect.Effect<Cursor, SqlError | CursorOfAnotherServer> =>
  from === "start" ? Effect.succeed(start) : from === "now" ? currentEnd(db) : ofThisServer(db, from, subscription)

/** What `currentEnd` gives may be the next transaction's id, which no event has yet. */
const ofThisServer = Effect.fnUntraced(function*(
  { sql, table }: Database.Database,
  cursor: Cursor,
  subscription: string | undefined
) {
  const [row] = yield* sql<{ ahead: boolean }>`
    SELECT ${cursor.xid}::xid8 > pg_snapshot_xmax(pg_current_snapshot())
      AND NOT EXISTS (SELECT 1 FROM ${table.checkpoints} WHERE subscription = ${subscription ?? null}) AS ahead`
  return row?.ahead === true ? yield* new CursorOfAnotherServer({ cursor: toText(cursor) }) : cursor
})

type ReadError = SqlError | UnreadableRow | RestoredFromDump | CursorOfAnotherServer

const isReadError = (error: unknown): error is ReadError =>
  isSqlError(error) || error instanceof UnreadableRow || error instanceof RestoredFromDump ||
  error instanceof CursorOfAnotherServer

/** Outlasts the database's trouble; what else goes wrong with reading becomes `SourceFailed`. */
export const outlastReading = (what: string, source: string) =>
<A, E = never, R = never>(
  self: Effect.Effect<A, E | ReadError, R>
): Effect.Effect<A, Exclude<E, ReadError> | SourceFailed, R> =>
  Effect.mapError(outlastTrouble(what)(self), (error) =>
    isReadError(error)
      ? new SourceFailed({
        source,
        reason: isSqlError(error) ? SqlErrors.serverText(error) : error.message,
        cause: error
      })
      : error as Exclude<E, ReadError>)
