/** Answers what changes entries: dead letters, keys, pauses, and what is old. Each change is audited by the service that makes it. */
import * as Database from "@zakops/migrations/Database"
import { BlockedKeys, DeadLetters, FlowControl } from "@zakops/outbox"
import type { DeadFilter as Filter, DeadSelection as Selection } from "@zakops/outbox"
import type { DeadGrouping } from "@zakops/outbox/deadLetters/countDead"
import type { DeadLetter } from "@zakops/outbox/deadLetters/listDead"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type { AnyEventDefinition } from "@zakops/events/EventDefinition"
import { Operator } from "../api/Access.ts"
import type { DeadFilter, DeadSelection } from "../api/dead.ts"
import * as Errors from "../api/errors.ts"
import { Api } from "../Api.ts"
import { Purge } from "../Purge.ts"
import { byIndex, mostCounted, toCount } from "../reading/counting.ts"
import { readTasks } from "../reading/readTasks.ts"
import { toTime } from "../reading/rowValues.ts"
import * as Masking from "../server/Masking.ts"
import { answering } from "./answering.ts"
import { askedOfErrors, sameTogether } from "./maskedErrors.ts"

/** The event definitions by which a preview says what could be read; none unless set. Those that need services are not for it. */
export const KnownEvents = Context.Reference<ReadonlyArray<AnyEventDefinition>>("@zakops/admin/KnownEvents", {
  defaultValue: () => []
})

const units = { s: Duration.seconds, m: Duration.minutes, h: Duration.hours, d: Duration.days } as const

/** `15m`; the API's schema has looked at it. */
const toAge = (text: string): Duration.Duration =>
  units[text.slice(-1) as keyof typeof units](Number(text.slice(0, -1)))

const toFilter = ({ newerThan, olderThan, ...filter }: DeadFilter): Filter => ({
  ...filter,
  olderThan: olderThan === undefined ? undefined : toAge(olderThan),
  newerThan: newerThan === undefined ? undefined : toAge(newerThan)
})
const toSelection = (selection: DeadSelection): Selection => selection === "all" ? "all" : toFilter(selection)

/** How many are looked at for the groups of a page. Taking the numbers out of errors takes its time. */
const looked = (by: DeadGrouping) => by === "error" || by === "type-error" ? 2000 : mostCounted

const by = Effect.map(Operator, ({ name }) => ({ by: name }))

const toGroup = (
  group: { readonly group: string | null; readonly error: string | null; readonly count: number } & {
    readonly oldest: Date | null
    readonly newest: Date | null
  }
) => ({ ...group, oldest: toTime(group.oldest), newest: toTime(group.newest) })

const toLetter = (entry: DeadLetter) => ({
  ...entry,
  createdAt: toTime(entry.createdAt),
  diedAt: toTime(entry.diedAt)
})

export const dead = HttpApiBuilder.group(
  Api,
  "dead",
  Effect.fn(function*(handlers) {
    const db = yield* Database.make
    const letters = yield* DeadLetters
    const definitions = yield* KnownEvents
    const masking = yield* Masking.make
    const cheaply = byIndex(db)
    const groupsOf = Effect.fnUntraced(function*(by: DeadGrouping, filter: Filter, latest: number) {
      const groups = (yield* letters.groups(by, filter, { latest })).map(toGroup)
      const shown = by === "error" && masking.errors ? groups.map((one) => ({ ...one, group: Masking.masked })) : groups
      return {
        groups: sameTogether(shown.map(masking.error), ({ error, group }) => JSON.stringify([group, error])),
        sampled: groups.reduce((sum, { count }) => sum + count, 0) >= latest || groups.length === 100
      }
    })
    const askedOf = (selection: Selection) => selection === "all" ? Effect.void : askedOfErrors(masking, selection)

    /** Fails where another number matches than was said. */
    const expect = Effect.fnUntraced(function*(selection: Selection, expected: number | undefined) {
      if (expected === undefined) return
      const found = yield* letters.count(selection === "all" ? {} : selection)
      if (found !== expected) {
        return yield* new Errors.CountChanged({
          message: `${found} match by now, and not ${expected}: look again`,
          expected,
          found
        })
      }
    })

    const decoding = Effect.fnUntraced(function*(selection: Selection, count: number) {
      if (definitions.length === 0 || count > mostCounted) return null
      // Definitions that need services are not for this list.
      const dryRun = yield* letters.dryRun(selection, definitions as ReadonlyArray<never>)
      const kinds = ["newer", "undecodable", "unknownType"] as const
      return {
        ready: dryRun.ready,
        newer: dryRun.newer.count,
        undecodable: dryRun.undecodable.count,
        unknownType: dryRun.unknownType.count,
        examples: kinds.flatMap((kind) =>
          dryRun[kind].first.map(({ eventType, id, reason }) => ({ id, eventType, reason: masking.quote(reason) }))
        )
      }
    })

    return handlers.handleAll({
      list: ({ query: { after, limit, ...filter } }) =>
        answering(Effect.gen(function*() {
          yield* askedOfErrors(masking, filter)
          const { entries, next } = yield* cheaply(letters.list(toFilter(filter), { after, limit: limit ?? 50 }))
          return { items: entries.map((entry) => toLetter(masking.error(entry))), next }
        })),
      count: ({ query }) =>
        answering(Effect.gen(function*() {
          yield* askedOfErrors(masking, query)
          return toCount(
            yield* cheaply(letters.count(toFilter(query), { latest: mostCounted })),
            mostCounted,
            null
          )
        })),
      groups: ({ query: { by, ...filter } }) =>
        answering(Effect.andThen(askedOfErrors(masking, filter), cheaply(groupsOf(by, toFilter(filter), looked(by))))),
      preview: ({ payload }) =>
        answering(Effect.gen(function*() {
          const selection = toSelection(payload.selection)
          yield* askedOf(selection)
          const filter = selection === "all" ? {} : selection
          const count = yield* letters.count(filter)
          return {
            count,
            byType: (yield* groupsOf("type", filter, mostCounted)).groups,
            byError: (yield* groupsOf("error", filter, mostCounted)).groups,
            decoding: yield* decoding(selection, count)
          }
        })),
      redrive: ({ payload: { expected, rate, selection } }) =>
        answering(Effect.gen(function*() {
          const which = toSelection(selection)
          yield* askedOf(which)
          yield* expect(which, expected)
          return { redriven: yield* letters.redrive(which, { ...(yield* by), rate }) }
        })),
      discard: ({ payload: { expected, selection } }) =>
        answering(Effect.gen(function*() {
          const which = toSelection(selection)
          yield* askedOf(which)
          yield* expect(which, expected)
          return { discarded: yield* letters.discard(which, yield* by) }
        }))
    })
  })
)

export const keys = HttpApiBuilder.group(
  Api,
  "keys",
  Effect.fn(function*(handlers) {
    const blocked = yield* BlockedKeys
    const masking = yield* Masking.make
    const cheaply = byIndex(yield* Database.make)
    return handlers.handleAll({
      blocked: ({ query: { after, limit } }) =>
        answering(Effect.map(
          cheaply(blocked.list({ after, limit: limit ?? 50 })),
          ({ keys, next }) => ({
            items: keys.map((key) => ({ ...masking.error(key), since: toTime(key.since) })),
            next
          })
        )),
      unblock: ({ payload: { key } }) =>
        answering(Effect.gen(function*() {
          return { unblocked: yield* blocked.unblock(key, yield* by) }
        })),
      discardHead: ({ payload: { key } }) =>
        answering(Effect.gen(function*() {
          return { discarded: yield* blocked.discardHead(key, yield* by) }
        }))
    })
  })
)

export const flow = HttpApiBuilder.group(
  Api,
  "flow",
  Effect.fn(function*(handlers) {
    const flow = yield* FlowControl
    const target = ({ kind, name }: { readonly kind: "type" | "destination"; readonly name: string }) =>
      kind === "type" ? { type: name } : { destination: name }
    return handlers.handleAll({
      list: () => answering(flow.paused),
      pause: ({ payload }) =>
        answering(Effect.gen(function*() {
          return { changed: yield* flow.pause(target(payload), yield* by) }
        })),
      resume: ({ payload }) =>
        answering(Effect.gen(function*() {
          return { changed: yield* flow.resume(target(payload), yield* by) }
        }))
    })
  })
)

export const maintenance = HttpApiBuilder.group(
  Api,
  "maintenance",
  Effect.fn(function*(handlers) {
    const db = yield* Database.make
    const purge = yield* Purge
    return handlers.handleAll({
      tasks: () => answering(readTasks(db)),
      preview: ({ payload: { kind, olderThan } }) => answering(purge.preview({ kind, olderThan: toAge(olderThan) })),
      purge: ({ payload: { kind, olderThan } }) =>
        answering(Effect.gen(function*() {
          return { deleted: yield* purge.purge({ kind, olderThan: toAge(olderThan) }, yield* by) }
        }))
    })
  })
)
