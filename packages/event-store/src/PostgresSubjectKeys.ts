/**
 * The keys of personal data in a table of the same database, zakops.subject_keys.
 *
 * Forgetting deletes a key and every snapshot that was folded from personal fields. Backups keep the key until they are gone themselves:
 * give another `SubjectKeys` where that must not be.
 */
import { SubjectKey, SubjectKeys } from "@zakops/events/SubjectKeys"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

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

/** A subject has at most 200 characters. Nothing is cached: who is forgotten is forgotten in every process at once. */
export const layer = Layer.effect(
  SubjectKeys,
  Effect.gen(function*() {
    const { now, sql, table } = yield* Database.make

    const find = Effect.fnUntraced(function*(subject: string) {
      const [row] = yield* sql<KeyRow>`SELECT key FROM ${table.subjectKeys} WHERE subject = ${subject}`
      return toSubjectKey(row)
    })

    // A key that was rolled back with the caller's transaction could have enciphered another one's events by then.
    const onItsOwn = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.updateContext(self, (context: Context.Context<never>) => Context.omit(sql.transactionService)(context))

    const make = Effect.fnUntraced(function*(subject: string) {
      const time = yield* now
      yield* sql`INSERT INTO ${table.subjectKeys} (subject, key, created_at) VALUES (${subject}, ${newKey()}, ${time}) ON CONFLICT DO NOTHING`
      return yield* find(subject)
    })

    return {
      find: (subject) => Effect.orDie(find(subject)),
      findOrMake: (subject) =>
        Effect.orDie(
          onItsOwn(
            Effect.flatMap(find(subject), (known) => known._tag === "Missing" ? make(subject) : Effect.succeed(known))
          )
        ),
      forget: (subject) =>
        Effect.orDie(Effect.gen(function*() {
          const time = yield* now
          yield* sql.withTransaction(Effect.gen(function*() {
            // Also for a subject that is unknown yet: what is forgotten stays so.
            yield* sql`
              INSERT INTO ${table.subjectKeys} AS known (subject, key, created_at, forgotten_at) VALUES (${subject}, NULL, ${time}, ${time})
              ON CONFLICT (subject) DO UPDATE SET key = NULL, forgotten_at = coalesce(known.forgotten_at, excluded.forgotten_at)`
            // Waits for snapshots that are being written; those that come later see what has been forgotten.
            yield* sql`LOCK TABLE ${table.snapshots} IN SHARE ROW EXCLUSIVE MODE`
            yield* sql`DELETE FROM ${table.snapshots} WHERE personal`
          }))
        }))
    }
  })
)
