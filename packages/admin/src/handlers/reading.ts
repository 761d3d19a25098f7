/** Answers what is only looked at: the session, the overview, entries, workers, destinations, the doctor, the audit, the rollout. */
import * as Database from "@zakops/migrations/Database"
import { RolloutReport } from "@zakops/outbox"
import { Destinations } from "@zakops/outbox/Destinations"
import { FlowControl } from "@zakops/outbox"
import { Samples } from "@zakops/outbox/Samples"
import { Workers } from "@zakops/outbox/Workers"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Option from "effect/Option"
import { Operator } from "../api/Access.ts"
import * as Errors from "../api/errors.ts"
import type { Examination, Finding } from "../api/doctor.ts"
import type { Destination } from "../api/workers.ts"
import { Api } from "../Api.ts"
import { Audit } from "../Audit.ts"
import { Doctor } from "../doctor/Doctor.ts"
import { Entries } from "../Entries.ts"
import { byIndex } from "../reading/counting.ts"
import { refreshedBehind } from "../reading/refreshedBehind.ts"
import { ConsoleConfig } from "../server/ConsoleConfig.ts"
import * as Masking from "../server/Masking.ts"
import { packageVersion } from "../server/packageVersion.ts"
import { SystemStatus } from "../SystemStatus.ts"
import { answering } from "./answering.ts"
import { askedOfErrors, sameTogether } from "./maskedErrors.ts"

export const session = HttpApiBuilder.group(
  Api,
  "session",
  Effect.fn(function*(handlers) {
    const { traceUrl, writes } = yield* ConsoleConfig
    const { active } = yield* Masking.make
    const { schema } = yield* Database.make
    return handlers.handleAll({
      get: () =>
        Effect.map(Operator, ({ name, role }) => ({
          name,
          role,
          writes,
          mayChange: writes && role === "operate",
          masked: active,
          schema,
          version: packageVersion,
          traceUrl
        }))
    })
  })
)

/** About so many points to a line. */
const points = 120

export const overview = HttpApiBuilder.group(
  Api,
  "overview",
  Effect.fn(function*(handlers) {
    const status = yield* SystemStatus
    const samples = yield* Samples
    const masking = yield* Masking.make
    return handlers.handleAll({
      get: () =>
        Effect.map(answering(status.recent), (overview) => ({
          ...overview,
          deadByError: sameTogether(overview.deadByError.map(masking.error), ({ error }) => error)
        })),
      rates: Effect.fnUntraced(function*({ query }) {
        const last = query.last ?? 3600
        const step = query.step ?? Math.max(10, Math.ceil(last / points / 10) * 10)
        const now = yield* Clock.currentTimeMillis
        // Up to the end of the last whole step: one that is under way would look like a fall.
        const to = Math.floor(now / (step * 1000)) * step * 1000
        const range = yield* answering(
          samples.range(new Date(to - last * 1000), new Date(to), Duration.seconds(step))
        )
        return {
          step: range.step / 1000,
          times: range.times.map((time) => time.getTime() / 1000),
          series: range.series.map(({ destination, kind, values }) => ({
            kind,
            destination,
            perSecond: values.map((value) => value / (range.step / 1000))
          }))
        }
      })
    })
  })
)

export const entries = HttpApiBuilder.group(
  Api,
  "entries",
  Effect.fn(function*(handlers) {
    const { list, show } = yield* Entries
    const masking = yield* Masking.make
    return handlers.handleAll({
      list: ({ query: { after, limit, ...filter } }) =>
        Effect.map(
          answering(Effect.andThen(askedOfErrors(masking, filter), list(filter, { after, limit }))),
          ({ items, next }) => ({ items: items.map(masking.error), next })
        ),
      show: Effect.fnUntraced(function*({ params }) {
        const found = yield* answering(show(params.id))
        if (Option.isNone(found)) return yield* new Errors.NotFound({ message: `there is no entry ${params.id}` })
        const { destinations, entry, history, neighbours, ...rest } = masking.event(found.value)
        return {
          ...rest,
          entry: masking.error(entry),
          history: history.map(masking.error),
          neighbours: { before: neighbours.before.map(masking.error), after: neighbours.after.map(masking.error) },
          destinations: destinations.map(masking.error)
        }
      })
    })
  })
)

export const workers = HttpApiBuilder.group(
  Api,
  "workers",
  Effect.fn(function*(handlers) {
    const { list } = yield* Workers
    return handlers.handleAll({ list: () => answering(list) })
  })
)

const breakers = ["closed", "probing", "open"]

export const destinations = HttpApiBuilder.group(
  Api,
  "destinations",
  Effect.fn(function*(handlers) {
    const db = yield* Database.make
    const { list } = yield* Destinations
    const { list: listWorkers } = yield* Workers
    const { paused } = yield* FlowControl
    const read = Effect.all([byIndex(db)(list), listWorkers, paused])
    const recent = yield* refreshedBehind(read, { fresh: "1 second", stale: "10 seconds", idle: "30 seconds" })
    return handlers.handleAll({
      list: () =>
        Effect.map(answering(recent), ([found, workers, pauses]) =>
          found.map((one): Destination => {
            const mine = workers.filter(({ alive, destination, route }) =>
              alive && destination === one.name && route === (one.destination !== null)
            )
            const kind = one.capped ? "atLeast" : "exact"
            return {
              name: one.name,
              main: one.destination === null,
              breaker: breakers.findLast((breaker) => mine.some((worker) => worker.breaker === breaker)) ?? null,
              workers: one.workers,
              pausedAt: one.pausedAt,
              pausedBy: pauses.find(({ kind, name }) => kind === "destination" && name === one.name)?.pausedBy ?? null,
              pending: { value: one.pending, kind },
              dead: { value: one.dead, kind },
              holding: one.holding,
              oldest: one.oldest
            }
          }))
    })
  })
)

/** Checks whose details may hold the text of an error. */
const quotesErrors: ReadonlySet<string> = new Set(["subscriptions"])

const withoutDetail = (found: Finding): Finding => ({ ...found, detail: Masking.masked })

export const doctor = HttpApiBuilder.group(
  Api,
  "doctor",
  Effect.fn(function*(handlers) {
    const { examine } = yield* Doctor
    const now = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis))
    const masking = yield* Masking.make
    const examination = Effect.gen(function*() {
      const findings = (yield* examine).map((found) =>
        masking.errors && quotesErrors.has(found.check) ? withoutDetail(found) : found
      )
      return { at: yield* now, findings } satisfies Examination
    })
    // It sends itself a notification and looks at catalogues: once a minute for all who look on.
    const recent = yield* refreshedBehind(examination, { fresh: "30 seconds", stale: "1 minute", idle: "5 minutes" })
    return handlers.handleAll({ examine: () => recent })
  })
)

export const audit = HttpApiBuilder.group(
  Api,
  "audit",
  Effect.fn(function*(handlers) {
    const { list } = yield* Audit
    return handlers.handleAll({
      list: ({ query: { action, after, by, limit } }) => answering(list({ action, by }, { after, limit }))
    })
  })
)

export const rollout = HttpApiBuilder.group(
  Api,
  "rollout",
  Effect.fn(function*(handlers) {
    const { report } = yield* RolloutReport
    return handlers.handleAll({ report: ({ query }) => answering(report(query)) })
  })
)
