/**
 * Writes and publishes entries, each by its type's mode: what goes through the outbox is written, what is direct is published while the
 * caller waits, and what is in shadow mode is both.
 *
 * Shadow mode fails a caller with nothing that direct mode would not: where its copy cannot be written, a savepoint takes it back, and
 * the comparison shows that it is missing.
 */
import type { External, PublishError, Transactional } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { makeDirectRecorder } from "./directRecorder.ts"
import type { NewEntry } from "./Emission.ts"
import { insertEntries } from "./insertEntries.ts"
import { keysOf, lockKeys } from "../claiming/orderingKeys.ts"
import { publishDirectly } from "./publishDirectly.ts"
import { Transaction } from "../TransactionalPublisher.ts"

/**
 * Gives what writes entries in the open transaction, in their order, and gives their ids; `wake` runs after the commit of what is to be
 * delivered. Runs a fiber in the scope.
 */
export const writeByMode = Effect.fnUntraced(
  function*(db: Database, publisher: External | Transactional, wake: Effect.Effect<void>) {
    const { sql, table } = db
    const insert = insertEntries(db)
    const lock = lockKeys(db)
    const publish = publishDirectly(db, publisher, yield* makeDirectRecorder(db))

    const isWritten = (id: string) =>
      Effect.map(sql`SELECT FROM ${table.outbox} WHERE id = ${id}::uuid`, (rows) => rows.length > 0)

    const write = Effect.fnUntraced(function*(entries: ReadonlyArray<NewEntry>) {
      const { ids, trace } = yield* insert(entries)
      yield* sql.afterCommit(wake)
      if (trace !== undefined) (yield* Transaction).isKnownAs({ xid: trace.xid, isWritten: isWritten(trace.id) })
      return ids
    })

    /** Writes the copies, and gives the entries that are to be compared: not those that their deduplication key has left out. */
    const writeCopies = (
      entries: ReadonlyArray<NewEntry>
    ): Effect.Effect<ReadonlyArray<NewEntry>, SqlError, Transaction> =>
      sql.withTransaction(write(entries)).pipe(
        Effect.map((ids) => entries.filter((entry, index) => ids[index] === entry.id)),
        Effect.catchIf(
          (error) => !SqlErrors.isDatabaseTrouble(error),
          (error) =>
            Effect.as(
              Effect.logWarning(`the copy of an event in shadow mode was not written: ${SqlErrors.serverText(error)}`),
              entries
            )
        )
      )

    return Effect.fnUntraced(function*(
      entries: ReadonlyArray<NewEntry>
    ): Effect.fn.Return<ReadonlyArray<string>, SqlError | PublishError, Transaction> {
      const queued = entries.filter(({ mode }) => mode === "outbox")
      if (queued.length === entries.length) return yield* write(entries)
      const shadows = entries.filter(({ mode }) => mode === "shadow")
      // Two statements would take their locks in no order.
      if (queued.length > 0 && shadows.length > 0) yield* lock(keysOf([...queued, ...shadows]))
      const ids = queued.length === 0 ? [] : yield* write(queued)
      const compared = new Set(shadows.length === 0 ? [] : yield* writeCopies(shadows))
      yield* publish(
        entries.filter(({ mode }) => mode !== "outbox").map((entry) => compared.has(entry) ? entry : notCompared(entry))
      )
      const idOf = new Map(queued.map((entry, index) => [entry, ids[index]]))
      return entries.map((entry) => idOf.get(entry) ?? entry.id)
    })
  }
)

const notCompared = (entry: NewEntry): NewEntry => ({ ...entry, mode: "direct" })
