/**
 * The keys of personal data in a table of the same database, zakops.subject_keys.
 *
 * Forgetting deletes a key and every snapshot that was folded from personal fields. Backups keep the key until they are gone themselves:
 * give another `SubjectKeys` where that must not be.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { SubjectKey, SubjectKeys } from "@zakops/events/SubjectKeys"
import * as Database from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Schedule from "effect/Schedule"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { isPassing } from "./handlerFailure.ts"

interface KeyRow {
  readonly key: Uint8Array | null
}

/** 256 bits, for AES-256-GCM. */
const newKey = () => crypto.getRandomValues(new Uint8Array(32))

const toSubjectKey = (row: KeyRow | undefined): SubjectKey =>
  row === undefined
    ? SubjectKey.Missing()
    : row.key === null
    ? SubjectKey.Forgotten()
    : SubjectKey.Known({ key: new Uint8Array(row.key) })

/** Keys that are new within a transaction are made on connections of their own; this many serve some 1,000 a second. */
const mostConnections = 2

/**
 * How long a new key waits for somebody who is just forgetting its subject, and how often. In between the connection serves others: among
 * them may be the one that is waited for.
 */
const patience = { lockTimeout: "100ms", schedule: Schedule.spaced("20 millis"), times: 50 }

const isLockTimeout = (error: SqlError) => SqlErrors.sqlState(error) === "55P03"

/** A subject has at most 200 characters. Nothing is cached: who is forgotten is forgotten in every process at once. */
export const layer = Layer.effect(
  SubjectKeys,
  Effect.gen(function*() {
    const { now, sql, table } = yield* Database.make
    const { config } = yield* PgClient.PgClient
    // Not from the pool: when all of its connections are held by transactions that wait for a key, none would be left to make it.
    const outside: SqlClient = yield* Effect.provide(
      PgClient.make({ ...config, minConnections: 0, maxConnections: mostConnections }),
      Reactivity.layer
    )

    const find = Effect.fnUntraced(function*(on: SqlClient, subject: string) {
      const [row] = yield* on<KeyRow>`SELECT key FROM ${table.subjectKeys} WHERE subject = ${subject}`
      return toSubjectKey(row)
    })

    const insert = Effect.fnUntraced(function*(on: SqlClient, subject: string) {
      const time = yield* now
      yield* on`INSERT INTO ${table.subjectKeys} (subject, key, created_at) VALUES (${subject}, ${newKey()}, ${time}) ON CONFLICT DO NOTHING`
    })

    const inTransaction = Effect.map(Effect.serviceOption(sql.transactionService), Option.isSome)

    /** A key that was rolled back with the caller's transaction could have enciphered another one's events by then. */
    const makeOutside = (subject: string) =>
      outside.withTransaction(
        Effect.andThen(
          outside`SELECT set_config('lock_timeout', ${patience.lockTimeout}, true)`,
          insert(outside, subject)
        )
      ).pipe(
        Effect.retry({ schedule: patience.schedule, times: patience.times, while: isLockTimeout }),
        Effect.andThen(find(outside, subject))
      )

    const findOrMake = Effect.fnUntraced(function*(subject: string) {
      // In the open transaction, if there is one: it sees whom it has forgotten itself, and most keys are there already.
      const known = yield* find(sql, subject)
      if (known._tag !== "Missing") return known
      if (yield* inTransaction) return yield* makeOutside(subject)
      yield* insert(sql, subject)
      return yield* find(sql, subject)
    })

    const forget = Effect.fnUntraced(function*(subject: string) {
      const time = yield* now
      // Also for a subject that is unknown yet: what is forgotten stays so.
      yield* sql`
        INSERT INTO ${table.subjectKeys} AS known (subject, key, created_at, forgotten_at, forgotten_xid)
        VALUES (${subject}, NULL, ${time}, ${time}, pg_current_xact_id())
        ON CONFLICT (subject) DO UPDATE SET key = NULL, forgotten_at = coalesce(known.forgotten_at, excluded.forgotten_at),
          forgotten_xid = coalesce(known.forgotten_xid, excluded.forgotten_xid)`
      // Waits for snapshots that are being written; those that come later see what has been forgotten.
      yield* sql`LOCK TABLE ${table.snapshots} IN SHARE ROW EXCLUSIVE MODE`
      yield* sql`DELETE FROM ${table.snapshots} WHERE personal`
    })

    return {
      find: (subject) => Effect.orDie(find(sql, subject)),
      findOrMake: (subject) => Effect.orDie(findOrMake(subject)),
      forget: (subject) =>
        Effect.orDie(Effect.flatMap(inTransaction, (inner) =>
          Effect.retry(sql.withTransaction(forget(subject)), {
            times: 10,
            // Within the caller's transaction a deadlock is the caller's to begin anew from.
            while: (error) => !inner && isPassing(error)
          })))
    }
  })
)
