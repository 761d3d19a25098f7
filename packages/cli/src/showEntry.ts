/** Entries as an operator reads them: many in a table, or one with all that is known of it. */
import type { EntryDetail, EntrySummary } from "@zakops/admin/api/entries"
import { indent } from "@zakops/admin/api/indent"
import { Entries } from "@zakops/admin/Entries"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { toJson } from "./json.ts"
import { absent } from "./Problem.ts"
import { asFields, asTable, harmless, shortened, when } from "./table.ts"

const row = (entry: EntrySummary) => [
  entry.id,
  entry.blocks ? `${entry.state}, blocks` : entry.state,
  `${entry.eventType} v${entry.schemaVersion}`,
  entry.destination ?? "",
  entry.orderingKey ?? "",
  `${entry.attempts} of ${entry.maxAttempts}`,
  when(entry.createdAt),
  shortened(entry.error ?? "")
]

export const entriesTable = (entries: ReadonlyArray<EntrySummary>) =>
  asTable(["id", "state", "type", "route", "key", "attempts", "created", "error"], entries.map(row))

const inWords = (detail: EntryDetail): string => {
  const { destinations, entry, history, neighbours } = detail
  const parts = [
    asFields([
      ["id", entry.id],
      ["event", entry.eventId === entry.id ? null : entry.eventId],
      ["state", entry.blocks ? `${entry.state}, and blocks its key` : entry.state],
      ["type", `${entry.eventType} v${entry.schemaVersion}`],
      ["route", entry.destination],
      ["correlation", entry.correlationId],
      ["aggregate", entry.aggregateId === null ? null : `${entry.aggregateType ?? ""} ${entry.aggregateId}`],
      ["trace", detail.traceId],
      ["key", entry.orderingKey],
      [
        "when dead",
        entry.orderingKey === null ? null : detail.onDead === "block" ? "its key waits" : "its key goes on"
      ],
      ["attempts", `${entry.attempts} of ${entry.maxAttempts}`],
      ["waits", detail.retryWaits?.map((wait) => Duration.format(Duration.millis(wait))).join(", ")],
      ["redrives", entry.redrives === 0 ? null : String(entry.redrives)],
      ["crashes", detail.crashes === 0 ? null : String(detail.crashes)],
      ["held by", detail.claimedBy === null ? null : `${detail.claimedBy} until ${when(detail.leaseUntil)}`],
      ["created", when(entry.createdAt)],
      ["last attempt", when(entry.lastAttemptAt)],
      ["next attempt", entry.state === "pending" ? when(entry.nextAttemptAt) : null],
      ["expires", when(detail.expiresAt)],
      ["delivered", when(entry.deliveredAt)],
      ["died", when(entry.diedAt)],
      ["discarded", when(detail.discardedAt)],
      [
        "in the log",
        detail.logged === null
          ? null
          : `position ${detail.logged.position}${
            detail.logged.streamVersion === null ? "" : `, version ${detail.logged.streamVersion}`
          }`
      ],
      ["error", entry.error],
      ["unreadable", detail.unreadable]
    ]),
    `headers ${harmless(detail.headers)}\ndata ${
      detail.data === null ? `of ${detail.dataBytes} bytes` : indent(detail.data).split("\n").map(harmless).join("\n")
    }`,
    history.length === 0
      ? "no failed attempts are on record"
      : asTable(
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
  ]
  if (destinations.length > 1) {
    parts.push(asTable(
      ["destination", "state", "attempts", "delivered", "next attempt", "error"],
      destinations.map((at) => [
        at.destination ?? "(main)",
        at.state,
        String(at.attempts),
        when(at.deliveredAt),
        at.state === "pending" ? when(at.nextAttemptAt) : "",
        shortened(at.error ?? "")
      ])
    ))
  }
  if (neighbours.before.length > 0) parts.push(`before it in its key:\n${entriesTable(neighbours.before)}`)
  if (neighbours.after.length > 0) parts.push(`behind it in its key:\n${entriesTable(neighbours.after)}`)
  return parts.join("\n\n")
}

/** By its id, or by that of its event. */
export const showEntry = Effect.fnUntraced(function*(id: string, asJson: boolean) {
  const { show } = yield* Entries
  const found = yield* show(id)
  if (Option.isNone(found)) return yield* absent(`there is no entry ${id}`)
  yield* Console.log(asJson ? toJson(found.value) : inWords(found.value))
}, Effect.provide(Entries.layer))
