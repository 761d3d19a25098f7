/**
 * What a batch that was delivered by one statement shows of itself, where somebody watches: one span for all of it, linked to the creation
 * contexts of its events, how long it took, and how long its events were on their way.
 *
 * Watching costs the statement two columns. Where no tracer is installed and nothing is measured, the statement stays as it is.
 */
import type { Operation } from "@zakops/events/MessageOperation"
import {
  endSpan,
  errorTypeOf,
  messageAttributes,
  mostLinks,
  nanos,
  openSpan,
  recordDuration
} from "@zakops/events/MessageOperation"
import type { Transactional } from "@zakops/events/EventPublisher"
import { parse } from "@zakops/events/TraceContext"
import { Measured, tracerOf } from "@zakops/events/Tracing"
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Fragment } from "effect/sql/Statement"
import { recordLatencies } from "./deliveryMetrics.ts"

/** What `columns` selects. */
export interface WatchedRow {
  readonly contexts?: ReadonlyArray<string> | null
  readonly latencies?: ReadonlyArray<number> | null
}

/** An entry that has failed on its own. */
export interface FailedEntry {
  readonly id: string
  readonly correlationId: string
  readonly eventType: string
  readonly attempts: number
  readonly traceparent: string | null
}

export interface Watch {
  /** Further columns of a SELECT that aggregates the entries delivered, to stand behind others. */
  readonly columns: Fragment
  /** To be run when they are. */
  readonly delivered: (count: number, row: WatchedRow) => Effect.Effect<void>
  readonly failed: (entry: FailedEntry, error: unknown) => Effect.Effect<void>
}

/** Begins to watch a delivery that begins now, at the database's `time`. */
export const watchBatch = (db: Database, { destination }: Transactional) => {
  const operation: Operation & { readonly name: "send" } = { name: "send", destination }
  const none = db.sql.literal("")
  const nobody: Watch = { columns: none, delivered: () => Effect.void, failed: () => Effect.void }

  return (time: Fragment): Effect.Effect<Watch> =>
    Effect.withFiber((fiber) => {
      const tracer = tracerOf(fiber)
      const measured = fiber.getRef(Measured)
      if (tracer === undefined && !measured) return Effect.succeed(nobody)
      const startTime = nanos(fiber)
      const around = fiber.cache.tracerEnabled ? fiber.cache.span : undefined
      const contexts = tracer === undefined ? none : db.sql`,
        (array_agg(headers->>'traceparent') FILTER (WHERE headers->>'traceparent' IS NOT NULL))[1:${
        db.sql.literal(String(mostLinks))
      }] AS contexts`
      const latencies = measured
        ? db.sql`, array_agg(extract(epoch FROM ${time} - created_at)::float8) AS latencies`
        : none
      return Effect.succeed({
        columns: db.sql`${contexts}${latencies}`,
        delivered: (count, row) =>
          Effect.suspend(() => {
            if (count === 0) return Effect.void
            if (tracer !== undefined) {
              const span = openSpan(fiber, tracer, operation, {
                parent: around,
                links: (row.contexts ?? []).flatMap((context) => parse(context) ?? []),
                startTime,
                attributes: { "messaging.batch.message_count": count }
              })
              endSpan(span, nanos(fiber), Exit.void, undefined)
            }
            return measured
              ? Effect.andThen(
                recordDuration(fiber, operation, startTime, undefined),
                recordLatencies(destination, row.latencies ?? [])
              )
              : Effect.void
          }),
        failed: (entry, error) =>
          Effect.sync(() => {
            if (tracer === undefined) return
            const creation = entry.traceparent === null ? undefined : parse(entry.traceparent)
            const exit = Exit.fail(error)
            const span = openSpan(fiber, tracer, operation, {
              parent: creation ?? around,
              links: creation === undefined ? [] : [creation],
              startTime,
              attributes: { ...messageAttributes(entry), "zakops.attempt": entry.attempts }
            })
            endSpan(span, nanos(fiber), exit, errorTypeOf(exit))
          })
      })
    })
}
