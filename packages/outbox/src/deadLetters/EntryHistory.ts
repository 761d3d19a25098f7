/**
 * The attempts at an entry that did not deliver it, as they stand in zakops.outbox_attempts: append-only, and kept through redrives.
 *
 * Success adds none, and retention may have removed the oldest.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import { InvalidRequest } from "./DeadFilter.ts"
import { Outcome } from "../delivering/AttemptOutcome.ts"
import { uuid } from "../emitting/identifiers.ts"

export const Attempt = Schema.Struct({
  /** The number of the attempt, from 1; a redrive begins anew. */
  attempt: Schema.Int,
  destination: Schema.String,
  /** Who made it, where that is known. */
  worker: Schema.NullOr(Schema.String),
  startedAt: Schema.NullOr(Schema.Date),
  endedAt: Schema.Date,
  outcome: Outcome,
  error: Schema.NullOr(Schema.String),
  traceId: Schema.NullOr(Schema.String)
})
export type Attempt = typeof Attempt.Type

/** What stands in the table is not what this build writes: a newer one may have written it. */
export class UnreadableHistory extends Schema.TaggedError<UnreadableHistory>()("UnreadableHistory", {
  entryId: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `the attempts of entry ${this.entryId} cannot be read, a newer build may have written them: ${this.problem}`
  }
}

const decodeAttempts = Schema.decodeUnknownEffect(Schema.Array(Attempt))

/** The attempts at one entry, oldest first, by the index outbox_attempts_entry. */
export const readHistory = ({ sql, table }: Database.Database) =>
  Effect.fnUntraced(function*(entryId: string) {
    const rows = yield* sql`
      SELECT attempt, destination, worker, started_at AS "startedAt", ended_at AS "endedAt", outcome, error, trace_id AS "traceId"
      FROM ${table.outboxAttempts} WHERE entry_id = ${entryId}::uuid ORDER BY id`
    return yield* Effect.mapError(
      decodeAttempts(rows),
      (error) => new UnreadableHistory({ entryId, problem: error.message })
    )
  })

export class EntryHistory extends Context.Service<EntryHistory, {
  /** The attempts at the entry, oldest first; none also where there is no such entry. */
  readonly attempts: (
    entryId: string
  ) => Effect.Effect<ReadonlyArray<Attempt>, InvalidRequest | UnreadableHistory | SqlError>
}>()("@zakops/outbox/deadLetters/EntryHistory") {
  static readonly layer = Layer.effect(
    EntryHistory,
    Effect.gen(function*() {
      const read = readHistory(yield* Database.make)
      return EntryHistory.of({
        attempts: Effect.fn("EntryHistory.attempts")(function*(entryId: string) {
          return yield* read(yield* checkId(entryId))
        })
      })
    })
  )
}

export const checkId = (id: string) =>
  uuid.test(id)
    ? Effect.succeed(id)
    : Effect.fail(new InvalidRequest({ field: "id", problem: `is ${JSON.stringify(id)}, which is no UUID` }))
