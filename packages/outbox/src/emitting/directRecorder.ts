/**
 * Records the direct half of a comparison: what was published directly while its type was in shadow mode.
 *
 * For a destination in the same database the record is part of the caller's transaction, as the event is. What an external destination
 * was given stays given when the transaction is rolled back, and so does its record: it is written by a fiber of its own. A caller that
 * waited for a second connection while it holds one could wait for ever; so it does not wait, and what a process had not yet written when
 * it was killed is missing.
 */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { PublishError } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import { digestOfEnvelope, digestOfRow } from "../delivering/contentDigest.ts"
import type { NewEntry } from "./Emission.ts"
import { errorText } from "../delivering/errorText.ts"
import { outlastTrouble } from "../connecting/outlastTrouble.ts"
import { asRelation } from "./insertEntries.ts"
import { outsideTransaction } from "./outsideTransaction.ts"

/** One direct publish. */
interface Published {
  readonly event_id: string
  readonly event_type: string
  readonly digest: string
  readonly error: string | null
}

/** What is not written yet while the database is away; beyond it, the comparison has holes rather than the process no memory. */
const mostUnwritten = 100_000

const mostRows = 1000

/** How long a stopping process waits for what is not written yet. */
const drainLimit = Duration.seconds(2)

/** Runs a fiber in the scope. */
export const makeDirectRecorder = Effect.fnUntraced(function*(db: Database) {
  const queue = yield* Queue.dropping<Published, Cause.Done>(mostUnwritten)
  const write = writePublished(db)
  const writeNext = Effect.flatMap(
    Queue.takeBetween(queue, 1, mostRows),
    (published) => outlastTrouble("recording what was published directly failed", write(published))
  )
  const writer = yield* writeNext.pipe(
    Effect.forever,
    Effect.ignore,
    // The layer may be built while a transaction is open.
    outsideTransaction(db.sql),
    Effect.forkScoped
  )
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Queue.end(queue),
      Effect.timeoutOption(Effect.interruptible(Fiber.await(writer)), drainLimit)
    )
  )

  /** Notes what an external destination was given, and what it said. Never waits, and never fails. */
  const note = (envelope: EventEnvelope, exit: Exit.Exit<void, PublishError>) =>
    Effect.flatMap(
      Queue.offer(queue, {
        event_id: envelope.id,
        event_type: envelope.eventType,
        digest: digestOfEnvelope(envelope),
        error: Exit.isSuccess(exit) ? null : errorText(inWords(exit.cause))
      }),
      (taken) =>
        taken
          ? Effect.void
          : Effect.logWarning(`that event ${envelope.id} was published directly is not recorded: too much waits to be`)
    )

  return { note, record: recordInTransaction(db) }
})

export type DirectRecorder = Effect.Success<ReturnType<typeof makeDirectRecorder>>

const inWords = (cause: Cause.Cause<PublishError>) =>
  Cause.hasInterruptsOnly(cause) ? "interrupted: whether it arrived is not known" : Cause.pretty(cause)

/** What failed at first and was published then counts as published; what was published stays so. */
const writePublished = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(published: ReadonlyArray<Published>) {
    const time = yield* now
    // A statement can touch each row once.
    const rows = new Map<string, Published>()
    for (const one of published) if (rows.get(one.event_id)?.error !== null) rows.set(one.event_id, one)
    yield* sql`
      INSERT INTO ${table.shadowDeliveries} AS recorded (event_id, path, event_type, digest, error, at)
      SELECT event_id, 'direct', event_type, digest, error, ${time}
      FROM jsonb_to_recordset(${JSON.stringify([...rows.values()])}::jsonb)
        AS published (event_id uuid, event_type varchar, digest text, error text)
      ON CONFLICT (event_id, path) DO UPDATE SET digest = excluded.digest, error = excluded.error, at = excluded.at
        WHERE recorded.error IS NOT NULL`
  })

/** For a destination in the same database: in the transaction that is open. */
const recordInTransaction = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(entries: ReadonlyArray<NewEntry>) {
    const time = yield* now
    yield* sql`
      INSERT INTO ${table.shadowDeliveries} (event_id, path, event_type, digest, at)
      SELECT id, 'direct', event_type, ${digestOfRow(sql)}, ${time} FROM ${asRelation(sql, entries)}
      ON CONFLICT (event_id, path) DO NOTHING`
  })
