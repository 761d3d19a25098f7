/** Answers what concerns the log: its readers, projections, streams, and the tail. */
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import * as Projection from "@zakops/event-store/Projection"
import * as Database from "@zakops/migrations/Database"
import { InvalidRequest } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { Operator } from "../api/Access.ts"
import * as Errors from "../api/errors.ts"
import type { Projection as ProjectionShown } from "../api/consumers.ts"
import { Api } from "../Api.ts"
import { Consumers } from "../Consumers.ts"
import { EventStreams } from "../EventStreams.ts"
import * as Masking from "../server/Masking.ts"
import { answering } from "./answering.ts"

const by = Effect.map(Operator, ({ name }) => ({ by: name }))

export const consumers = HttpApiBuilder.group(
  Api,
  "consumers",
  Effect.fn(function*(handlers) {
    const consumers = yield* Consumers
    const masking = yield* Masking.make
    return handlers.handleAll({
      list: () => answering(consumers.list),
      parked: ({ query: { subscription, ...page } }) =>
        Effect.map(
          answering(consumers.parked(subscription, page)),
          ({ items, next }) => ({ items: items.map(masking.error), next })
        ),
      retryParked: ({ payload: { events, subscription } }) =>
        answering(Effect.gen(function*() {
          return { retried: yield* consumers.retryParked(subscription, events, yield* by) }
        })),
      discardParked: ({ payload: { events, subscription } }) =>
        answering(Effect.gen(function*() {
          return { discarded: yield* consumers.discardParked(subscription, events, yield* by) }
        }))
    })
  })
)

const toShown = (state: ProjectionCatalog.ProjectionState): ProjectionShown => ({
  ...state,
  subscription: Projection.subscriptionOf(state),
  progress: ProjectionCatalog.progressOf(state)
})

export const projections = HttpApiBuilder.group(
  Api,
  "projections",
  Effect.fn(function*(handlers) {
    const { sql } = yield* Database.make
    const consumers = yield* Consumers
    const masking = yield* Masking.make
    return handlers.handleAll({
      list: () =>
        answering(Effect.map(
          Effect.provideService(ProjectionCatalog.list(), SqlClient, sql),
          (states) => states.map((state) => masking.error(toShown(state)))
        )),
      rebuild: ({ payload: { name, version } }) =>
        answering(Effect.gen(function*() {
          return { version: yield* consumers.rebuild(name, version, yield* by) }
        })),
      switch: ({ payload: { name, version } }) =>
        answering(Effect.gen(function*() {
          yield* consumers.switchTo(name, version, yield* by)
          return { version }
        }))
    })
  })
)

/** How many may follow the tail at once: each looks twice a second. */
const mostTails = 50

export const streams = HttpApiBuilder.group(
  Api,
  "streams",
  Effect.fn(function*(handlers) {
    const streams = yield* EventStreams
    const masking = yield* Masking.make
    let tails = 0
    const counted = Effect.acquireRelease(
      Effect.sync(() => {
        tails++
      }),
      () =>
        Effect.sync(() => {
          tails--
        })
    )
    return handlers.handleAll({
      list: ({ query: { after, aggregateType, from, limit } }) =>
        answering(streams.list({ aggregateType, from }, { after, limit })),
      events: ({ query: { aggregateId, aggregateType, ...options } }) =>
        Effect.map(
          answering(streams.events({ aggregateId, aggregateType }, options)),
          ({ items, next }) => ({ items: items.map(masking.event), next })
        ),
      state: Effect.fnUntraced(function*({ query: { version, ...stream } }) {
        const state = yield* answering(Effect.catchTag(
          streams.state(stream, version),
          "NotFolded",
          ({ reason }) =>
            new InvalidRequest({ field: "version", problem: `cannot be folded: ${masking.quote(reason)}` })
        ))
        if (Option.isNone(state)) {
          return yield* new Errors.NotFound({
            message: `there is no ${version === undefined ? "event" : `version ${version}`} of ${
              JSON.stringify(stream.aggregateType)
            } ${JSON.stringify(stream.aggregateId)}`
          })
        }
        const { eventTypes, ...shown } = state.value
        return masking.state(shown, eventTypes)
      }),
      log: ({ query: { after, limit, ...filter } }) =>
        Effect.map(
          answering(streams.log(filter, { after, limit })),
          ({ items, next }) => ({ items: items.map(masking.event), next })
        ),
      tail: Effect.fnUntraced(function*({ query: { after, ...filter } }) {
        if (tails >= mostTails) {
          return yield* new Errors.TooManyRequests({ message: `${mostTails} follow the tail already`, retryAfter: 10 })
        }
        const items = yield* answering(streams.tail(filter, after))
        // What the database does to a tail that is under way ends it, and the reader asks again from its cursor.
        const quiet = Stream.catch(items, () => Stream.empty)
        const shown = Stream.map(
          quiet,
          (item) => item._tag === "Event" ? { ...item, event: masking.event(item.event) } : item
        )
        return Stream.unwrap(Effect.as(counted, shown))
      })
    })
  })
)
