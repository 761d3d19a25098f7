/** `zakops entry`: entries of the outbox, whatever their state. */
import { EntryState } from "@zakops/admin/api/entries"
import type { EntryDetail, EntrySummary } from "@zakops/admin/api/entries"
import { Entries } from "@zakops/admin/Entries"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { json } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { after, limit } from "./paging.ts"
import { absent } from "./Problem.ts"
import { asFields, asTable, harmless, shortened, when } from "./table.ts"
import { withTables } from "./withDatabase.ts"

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

const table = (entries: ReadonlyArray<EntrySummary>) =>
  asTable(["id", "state", "type", "route", "key", "attempts", "created", "error"], entries.map(row))

const indented = (text: string) => {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2)
  } catch {
    return text
  }
}

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
      detail.data === null ? `of ${detail.dataBytes} bytes` : indented(detail.data).split("\n").map(harmless).join("\n")
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
  if (neighbours.before.length > 0) parts.push(`before it in its key:\n${table(neighbours.before)}`)
  if (neighbours.after.length > 0) parts.push(`behind it in its key:\n${table(neighbours.after)}`)
  return parts.join("\n\n")
}

const id = Argument.String("id").pipe(Argument.withDescription("The entry's id, or that of its event"))

const show = Command.make("show", { id, json }, ({ id, json }) =>
  withTables(() =>
    Effect.gen(function*() {
      const { show } = yield* Entries
      const found = yield* show(id)
      if (Option.isNone(found)) return yield* absent(`there is no entry ${id}`)
      yield* Console.log(json ? toJson(found.value) : inWords(found.value))
    }).pipe(Effect.provide(Entries.layer))
  )).pipe(Command.withDescription(
    "One entry: its event, its settings, every attempt that failed, its neighbours, and how far it is at each destination"
  ))

const optional = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

const filter = {
  state: Flag.Literals("state", EntryState.literals).pipe(
    Flag.optional,
    Flag.withDescription(
      "pending, behind (another of its key), held (paused or limited), processing, delivered, dead or discarded"
    )
  ),
  type: optional("type", "Those of this event type"),
  key: optional("key", "Those with this ordering key"),
  destination: optional("destination", "Those of this route"),
  aggregateType: optional("aggregate-type", "Those of this type of aggregate"),
  aggregateId: optional("aggregate-id", "Those of this aggregate"),
  correlationId: optional("correlation-id", "Those with this correlation id"),
  error: optional("error", "Those whose error contains this text")
}

const list = Command.make(
  "list",
  { ...filter, limit, after, json },
  ({ after, json, limit, ...given }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { list } = yield* Entries
        const page = yield* list({
          state: Option.getOrUndefined(given.state),
          type: Option.getOrUndefined(given.type),
          key: Option.getOrUndefined(given.key),
          destination: Option.getOrUndefined(given.destination),
          aggregateType: Option.getOrUndefined(given.aggregateType),
          aggregateId: Option.getOrUndefined(given.aggregateId),
          correlationId: Option.getOrUndefined(given.correlationId),
          error: Option.getOrUndefined(given.error)
        }, { limit, after: Option.getOrUndefined(after) })
        if (json) return yield* Console.log(toJson(page))
        yield* Console.log(page.items.length === 0 ? "there are none of that kind here" : table(page.items))
        if (page.next !== null) yield* Console.log(`\nthose after them: --after ${page.next}`)
      }).pipe(Effect.provide(Entries.layer))
    )
).pipe(Command.withDescription("Entries by state, type, key, route, aggregate or error"))

export const command = Command.make("entry").pipe(
  Command.withDescription("Look at entries, whatever their state"),
  Command.withSubcommands([list, show])
)
