/** One entry as an operator reads it. */
import type { InspectedEntry } from "@zakops/outbox/deadLetters/inspectEntry"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { asTable, harmless, when } from "./table.ts"

export const showEntry = (entry: InspectedEntry, asJson: boolean) =>
  asJson ? Console.log(toJson(entry)) : inWords(entry)

const toJson = ({ envelope, ...entry }: InspectedEntry) =>
  JSON.stringify(
    {
      ...entry,
      event: Result.getOrElse(envelope, () => null),
      unreadable: Result.isFailure(envelope) ? envelope.failure : null
    },
    undefined,
    2
  )

const inWords = Effect.fnUntraced(function*(entry: InspectedEntry) {
  const { envelope, history, settings } = entry
  const event = Result.isSuccess(envelope) ? envelope.success : undefined
  const lines: ReadonlyArray<readonly [string, string | null | undefined]> = [
    ["id", entry.id],
    ["status", entry.blocks ? `${entry.status}, and blocks its key` : entry.status],
    ["type", event === undefined ? undefined : `${event.eventType} v${event.schemaVersion}`],
    ["correlation", event?.correlationId],
    [
      "aggregate",
      event === undefined || event.aggregateId === null ? null : `${event.aggregateType} ${event.aggregateId}`
    ],
    ["trace", event?.traceId],
    ["key", settings.orderingKey],
    [
      "when dead",
      settings.orderingKey === null ? null : settings.onDead === "block" ? "its key waits" : "its key goes on"
    ],
    ["attempts", `${entry.attempts} of ${settings.maxAttempts}`],
    ["waits", settings.retryWaits?.map((wait) => Duration.format(Duration.millis(wait))).join(", ")],
    ["redrives", String(entry.redrives)],
    ["crashes", entry.crashes === 0 ? null : String(entry.crashes)],
    ["waits for", entry.waitsFor],
    ["created", event === undefined ? null : when(event.createdAt)],
    ["last attempt", when(entry.lastAttemptAt)],
    ["next attempt", entry.status === "pending" ? when(entry.nextAttemptAt) : null],
    ["expires", when(settings.expiresAt)],
    ["delivered", when(entry.deliveredAt)],
    ["died", when(entry.diedAt)],
    ["discarded", when(entry.discardedAt)],
    ["error", entry.error]
  ]
  const rows = lines.flatMap(([name, value]) =>
    value === null || value === undefined || value === "" ? [] : [[name, value]]
  )
  const [first = [], ...others] = rows
  yield* Console.log(asTable(first, others))
  if (event === undefined) yield* Console.log(`\n${Result.isFailure(envelope) ? harmless(envelope.failure) : ""}`)
  else {
    yield* Console.log(`\nheaders ${harmless(JSON.stringify(event.headers))}`)
    yield* Console.log(`data ${JSON.stringify(event.data, undefined, 2).split("\n").map(harmless).join("\n")}`)
  }
  if (history.length === 0) return yield* Console.log("\nno failed attempts are on record")
  yield* Console.log(`\n${
    asTable(
      ["attempt", "ended", "outcome", "destination", "worker", "error", "trace"],
      history.map((attempt) => [
        String(attempt.attempt),
        when(attempt.endedAt),
        attempt.outcome,
        attempt.destination,
        attempt.worker ?? "",
        attempt.error ?? "",
        attempt.traceId ?? ""
      ])
    )
  }`)
})
