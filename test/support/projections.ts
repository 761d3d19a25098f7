/** Projections in a test's database: makes events for them, and looks at what has become of them. */
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import { listParked } from "@zakops/event-store/parkedEvents"
import * as Projection from "@zakops/event-store/Projection"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import * as Database from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Counter } from "./counter.ts"
import { services } from "./outbox.ts"
import * as TestDatabase from "./TestDatabase.ts"

/** The event store on a database of its own. */
export const OnLog = EventStore.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

/** Adds each of the amounts to the counter. */
export const happen = Effect.fnUntraced(function*(counter: string, ...amounts: ReadonlyArray<number>) {
  const { execute } = yield* EventStore
  for (const add of amounts) yield* execute(Counter, counter, { add })
})

export const parkedOf = (projection: { readonly name: string; readonly version: number }) =>
  Effect.flatMap(Database.make, (db) => listParked(db, Projection.subscriptionOf(projection)))

export const stateOf = (name: string, version = 1) =>
  Effect.flatMap(ProjectionCatalog.list(name), (states) => {
    const state = states.find((one) => one.version === version)
    return state === undefined ? Effect.die(new Error(`no ${name} v${version}`)) : Effect.succeed(state)
  })

const is = (name: string, version: number, holds: (state: ProjectionCatalog.ProjectionState) => boolean) =>
  Effect.map(
    ProjectionCatalog.list(name),
    (states) => states.some((state) => state.version === version && holds(state))
  )

export const isLive = (name: string, version = 1) => is(name, version, ({ status }) => status === "live")

/**
 * It has handled all of the log. Being live does not say so: the log is read below the oldest transaction of the whole server, and that of
 * another test file may hold back what happened here.
 */
export const hasCaughtUp = (name: string, version = 1) =>
  is(name, version, ({ newest, position, status }) => status === "live" && position === newest)
