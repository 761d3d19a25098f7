/**
 * Routes: where events go besides the main destination, by their type or by a predicate.
 *
 * The main destination, the event log unless told otherwise, always gets the event. In the transaction that marks it delivered there, an
 * entry is written for each route that wants it, once; each route then delivers its own entries, with retries, dead letters, order,
 * breaker, pause and limits of its own. So what fails at one destination is repeated at no other.
 */
import { EventPublisher } from "@zakops/events/EventPublisher"
import type { External } from "@zakops/events/EventPublisher"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Limits } from "./DeliveryLimits.ts"
import { problemOf as problemOfLimits } from "./DeliveryLimits.ts"

/** Which events a route takes; without `types` and `when`, all of them. */
export interface RouteOptions {
  /** The event types. An event of another type is not looked at. */
  readonly types?: ReadonlyArray<string> | undefined
  /**
   * Whether the route takes an event of its types. Called in the transaction that marks the event delivered at the main destination: it has
   * to be quick and pure. Where it throws, the event is taken, so that nothing is lost. Must give the same in all processes.
   */
  readonly when?: ((envelope: EventEnvelope) => boolean) | undefined
  /**
   * What the destination is called in the tables, logs and errors: the publisher's name unless given. Entries that wait carry it, so it
   * should not be changed. At most 100 characters.
   */
  readonly name?: string | undefined
  /** Of this destination. None unless given; those of `DeliveryLimits` are the main destination's. */
  readonly limits?: Limits | undefined
}

export interface Route extends RouteOptions {
  readonly to: External
}

/**
 * None, unless a program provides its own. All processes that deliver should be given the same: a process delivers to the routes that it
 * knows.
 */
export const Routes = Context.Reference<ReadonlyArray<Route>>("@zakops/outbox/Routes", {
  defaultValue: () => []
})

/** A route to the publisher that a layer gives, such as that of a broker's package. Builds the layer in the scope. */
export const routeTo = <E, R>(
  publisher: Layer.Layer<EventPublisher, E, R>,
  options: RouteOptions = {}
): Effect.Effect<Route, E, R | Scope.Scope> =>
  Effect.flatMap(Layer.build(publisher), (context) => {
    const to = Context.get(context, EventPublisher)
    return to._tag === "External"
      ? Effect.succeed({ ...options, to })
      : Effect.die(new TypeError(`${to.destination} delivers by SQL and can only be the main destination`))
  })

/**
 * Provides the routes. Each is a `Route`, or an effect that gives one, as `routeTo` does.
 *
 * @example
 * OutboxLive.pipe(Layer.provide(layerRoutes([
 *   routeTo(Nats.layerPublisher, { types: ["deal.created", "deal.won"] }),
 *   routeTo(Webhook.layerPublisher, { when: ({ headers }) => headers["partner"] === "acme" })
 * ])))
 */
export const layerRoutes = <E = never, R = never>(
  routes: ReadonlyArray<Effect.Effect<Route, E, R>>
): Layer.Layer<never, E, Exclude<R, Scope.Scope>> => Layer.effect(Routes, Effect.all(routes))

/** What the destination of a route is called. */
export const nameOf = (route: Route): string => route.name ?? route.to.destination

/** What is wrong with the routes beside a main destination called `main`, if anything. */
export const problemOf = (routes: ReadonlyArray<Route>, main: string): string | undefined => {
  const names = new Set([main])
  for (const route of routes) {
    const name = nameOf(route)
    if (name === "" || Array.from(name).length > 100 || name.includes("\0")) {
      return `${JSON.stringify(name)} is no name for a destination: allowed are 1 to 100 characters, without NUL`
    }
    if (names.has(name)) return `two destinations are called ${name}: give one of them another name`
    names.add(name)
    if (route.types?.length === 0) return `the route to ${name} takes no type at all`
    const wrong = problemOfLimits(route.limits ?? {})
    if (wrong !== undefined) return `the route to ${name}: ${wrong}`
  }
  return undefined
}
