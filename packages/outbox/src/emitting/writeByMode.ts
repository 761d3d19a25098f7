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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect/Fiber"
import type { SqlError } from "effect/sql/SqlError"
import { CurrentTransformer } from "effect/sql/Statement"
import { nativeTracer, Tracer } from "effect/Tracer"
import { makeDirectRecorder } from "./directRecorder.ts"
import type { NewEntry } from "./Emission.ts"
import { canDefer, deferredInserts } from "./deferredInserts.ts"
import type { Written } from "./insertEntries.ts"
import { charactersOf, insertEntries } from "./insertEntries.ts"
import { insertOne } from "./insertOne.ts"
import { PipelinedConnection } from "../connecting/PipelinedConnection.ts"
import { keysOf, lockKeys } from "../claiming/orderingKeys.ts"
import { inOwnTransaction } from "./ownTransaction.ts"
import { tokenOf } from "./resolveCommit.ts"
import { publishDirectly } from "./publishDirectly.ts"
import { Routes } from "../Routes.ts"
import type { CommitNotice, OpenTransaction, Transaction } from "../Transaction.ts"

/**
 * Gives what writes entries in the open transaction, in their order, and gives their ids; `notice` is told of the commit of what is to be
 * delivered. Runs a fiber in the scope.
 */
export const writeByMode = Effect.fnUntraced(
  function*(db: Database, publisher: External | Transactional, notice: CommitNotice) {
    const { sql } = db
    const insert = insertEntries(db)
    const one = insertOne(db)
    const deferred = deferredInserts(db, one.compiled)
    const lock = lockKeys(db)
    const publish = publishDirectly(db, publisher, yield* Routes, yield* makeDirectRecorder(db))

    // In a transaction that something else has opened, once for it or its savepoint, and with none of the services that are in scope:
    // sql-pg copies the whole context for each call (a quarter of what an emit costs this process).
    const announced = new WeakSet<OpenTransaction["level"]>()
    const wakeAfterCommit = ({ granted, level }: OpenTransaction): Effect.Effect<void> => {
      if (granted.atCommit !== undefined) {
        granted.atCommit(notice)
        return Effect.void
      }
      if (announced.has(level)) return Effect.void
      announced.add(level)
      return Effect.updateContext(
        sql.afterCommit(Effect.sync(notice.committed)),
        () => Context.make(sql.transactionService, level)
      )
    }
    const put = (
      { granted, level }: OpenTransaction,
      entries: ReadonlyArray<NewEntry>,
      fiber: Fiber<unknown, unknown>
    ): Effect.Effect<Written, SqlError> => {
      const all = { ids: entries.map(({ id }) => id), written: entries[0]?.id }
      // A backend that traces is to see the statement, and so is who transforms all statements.
      const isSeen = fiber.getRef(Tracer) !== nativeTracer || fiber.getRef(CurrentTransformer) !== undefined
      const direct = isSeen ? undefined : granted.connection
      // Not in a savepoint: that RELEASE fails is a defect.
      if (
        direct instanceof PipelinedConnection && level[1] === 0 && deferred !== undefined && entries.every(canDefer)
      ) {
        return Effect.as(
          direct.defer(entries, entries.reduce((sum, entry) => sum + charactersOf(entry), 0), deferred),
          all
        )
      }
      const [first] = entries
      return first !== undefined && entries.length === 1 && first.dedupe === null
        ? Effect.as(one.insert(first, direct), all)
        : insert(entries)
    }

    const write = (entries: ReadonlyArray<NewEntry>) =>
      inOwnTransaction(db, (transaction, fiber) => {
        const inserted = put(transaction, entries, fiber)
        return Effect.flatMap(inserted, ({ ids, written }) => {
          if (written !== undefined) transaction.granted.isKnownAs(tokenOf(db, written), transaction.level[1])
          return Effect.as(wakeAfterCommit(transaction), ids)
        })
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

    const writeAndPublish = Effect.fnUntraced(function*(
      entries: ReadonlyArray<NewEntry>
    ): Effect.fn.Return<ReadonlyArray<string>, SqlError | PublishError, Transaction> {
      const queued = entries.filter(({ mode }) => mode === "outbox")
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

    return (
      entries: ReadonlyArray<NewEntry>
    ): Effect.Effect<ReadonlyArray<string>, SqlError | PublishError, Transaction> =>
      entries.every(({ mode }) => mode === "outbox") ? write(entries) : writeAndPublish(entries)
  }
)

const notCompared = (entry: NewEntry): NewEntry => ({ ...entry, mode: "direct" })
