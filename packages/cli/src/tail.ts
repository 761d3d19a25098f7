/** `zakops tail`: the events of the log as they happen. */
import { EventStreams } from "@zakops/admin/EventStreams"
import type { LoggedEvent } from "@zakops/admin/api/streams"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { painted } from "./colour.ts"
import { untilTold } from "./exitCodes.ts"
import { toJsonLine } from "./json.ts"
import { misuse } from "./Problem.ts"
import { harmless, shortened } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const optional = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

const flags = {
  type: optional("type", "Events of this type"),
  aggregateType: optional("aggregate-type", "Events of this type of aggregate"),
  aggregateId: optional("aggregate-id", "Events of this aggregate"),
  correlationId: optional("correlation-id", "Events with this correlation id"),
  last: Flag.Int("last").pipe(
    Flag.withDefault(0),
    Flag.withDescription("Begin with the latest so many, 0 to 500; 0 if not given")
  ),
  after: optional("after", "Begin behind this cursor, as --json prints it"),
  count: Flag.Int("count").pipe(Flag.optional, Flag.withDescription("End after so many events")),
  data: Flag.Boolean("data").pipe(Flag.withDefault(false), Flag.withDescription("Print all of the data of each event")),
  json: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Print JSON, one event a line, each with the cursor behind it")
  )
}

const inWords = (event: LoggedEvent, whole: boolean): string => {
  const { aggregateId, aggregateType, createdAt, data, eventType, id, schemaVersion, streamVersion } = event
  const time = createdAt === null ? "" : `${createdAt.toISOString().slice(0, 23)}Z`
  const aggregate = aggregateId === null
    ? ""
    : `${aggregateType ?? ""} ${aggregateId}${streamVersion === null ? "" : ` #${streamVersion}`}`
  const line = [time, painted("bold", harmless(`${eventType} v${schemaVersion}`)), harmless(aggregate), id]
    .filter((part) => part !== "").join("  ")
  if (data === null) return line
  return whole ? `${line}\n  ${harmless(data)}` : `${line}  ${painted("dim", harmless(shortened(data)))}`
}

export const command = Command.make("tail", flags, (given) =>
  withTables((shown) =>
    Effect.gen(function*() {
      if (given.last < 0 || given.last > 500) return yield* misuse(`--last is ${given.last}: allowed is 0 to 500`)
      if (given.last > 0 && Option.isSome(given.after)) return yield* misuse("give --last or --after, not both")
      const count = Option.getOrUndefined(given.count)
      if (count !== undefined && count < 1) return yield* misuse(`--count is ${count}: allowed is 1 or more`)
      const filter = {
        type: Option.getOrUndefined(given.type),
        aggregateType: Option.getOrUndefined(given.aggregateType),
        aggregateId: Option.getOrUndefined(given.aggregateId),
        correlationId: Option.getOrUndefined(given.correlationId)
      }
      const print = (event: LoggedEvent, cursor: string | null) =>
        Console.log(given.json ? toJsonLine({ cursor, ...event }) : inWords(event, given.data))
      const streams = yield* EventStreams
      let printed = 0
      let cursor = Option.getOrUndefined(given.after)
      if (given.last > 0) {
        const { items, next } = yield* streams.log(filter, { limit: given.last })
        for (const event of count === undefined ? items : items.slice(0, count)) yield* print(event, null)
        printed = items.length
        cursor = next ?? undefined
      }
      if (count !== undefined && printed >= count) return
      if (process.stderr.isTTY === true) process.stderr.write(`events of ${shown}, as they happen; Ctrl-C ends it\n`)
      const events = (yield* streams.tail(filter, cursor)).pipe(
        Stream.filter((item) => item._tag === "Event"),
        count === undefined ? (all) => all : Stream.take(count - printed)
      )
      yield* untilTold(Stream.runForEach(events, ({ cursor, event }) => print(event, cursor)))
    }).pipe(Effect.provide(EventStreams.layer))
  )).pipe(Command.withDescription("The events of the log as they happen, until Ctrl-C"))
