/** Which routes want an event: the ones that its type decides, and the ones that have a predicate to be asked. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Route } from "../Routes.ts"
import { nameOf } from "../Routes.ts"

/** An event that is to be taken to a destination. */
export interface Pair {
  /** Of the entry at the main destination. */
  readonly id: string
  readonly destination: string
}

/** What the delivery to the main destination has to hand on. */
export interface Routing {
  readonly routes: ReadonlyArray<Route>
  /** Those that the type alone decides: null for every type. */
  readonly byType: ReadonlyArray<{ readonly destination: string; readonly types: ReadonlyArray<string> | null }>
  /** Those that have to see the event. */
  readonly byPredicate: ReadonlyArray<Route>
  /** The types that any of those may want; null for every type. */
  readonly asked: ReadonlyArray<string> | null
  /** To be run after the commit of entries that were made for routes. */
  readonly announce: Effect.Effect<void>
}

export const makeRouting = (
  routes: ReadonlyArray<Route>,
  announce: Routing["announce"]
): Routing | undefined => {
  if (routes.length === 0) return undefined
  const byPredicate = routes.filter(({ when }) => when !== undefined)
  return {
    routes,
    byType: routes.filter(({ when }) => when === undefined)
      .map((route) => ({ destination: nameOf(route), types: route.types ?? null })),
    byPredicate,
    asked: byPredicate.every(({ types }) => types !== undefined)
      ? byPredicate.flatMap(({ types }) => types ?? [])
      : null,
    announce
  }
}

/** The names of the `routes` that want the event. One whose predicate throws does, and so does any for a row that cannot be read. */
export const wantedBy = (
  routes: ReadonlyArray<Route>,
  eventType: string,
  envelope: Result.Result<EventEnvelope, string>
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const names: Array<string> = []
    for (const route of routes) {
      if (route.types !== undefined && !route.types.includes(eventType)) continue
      const { when } = route
      const wanted = when === undefined || Result.isFailure(envelope) || (yield* Effect.catchDefect(
        Effect.sync(() => when(envelope.success)),
        (defect) => Effect.as(Effect.logError(`the predicate of the route to ${nameOf(route)} died`, defect), true)
      ))
      if (wanted) names.push(nameOf(route))
    }
    return names
  })
