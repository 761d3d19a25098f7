/**
 * What the database holds, as metrics: read every few seconds in the background, so that whoever scrapes never waits for it.
 *
 * Every count stops at a limit, or comes from the statistics of the database; reading costs milliseconds however many rows there are. All
 * processes that run it set the same values: take their maximum.
 */
import { Consumers } from "@zakops/admin/Consumers"
import { SystemStatus } from "@zakops/admin/SystemStatus"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import { subscriptionOf } from "@zakops/event-store/Projection"
import { lagEvents, lagSeconds } from "@zakops/event-store/SubscriptionLag"
import { quietly } from "@zakops/events/Tracing"
import { SchemaName } from "@zakops/migrations/SchemaName"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { Destinations } from "@zakops/outbox/Destinations"
import { read, seconds } from "@zakops/outbox/connecting/readSetting"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import { SqlClient } from "effect/sql/SqlClient"
import * as gauges from "./gauges.ts"

/** What the last reading has found. */
export interface Reading {
  /** Seconds for which the entry that is due longest has been waiting, at any destination; 0 where none is due. */
  readonly oldestPendingAge: number
  /** Milliseconds since 1970, by the clock of this process. */
  readonly at: number
}

/** How long one reading may take: a lock that somebody holds on a table is not to leave the others unread for ever. */
const patience = Duration.seconds(20)

export class DatabaseMetrics extends Context.Service<DatabaseMetrics, {
  /** Reads now and sets the metrics. Never fails: that it could not be read is told by the metric `zakops.database.up`. */
  readonly refresh: Effect.Effect<void>
  /** None until the first has succeeded. */
  readonly latest: Effect.Effect<Option.Option<Reading>>
}>()("@zakops/telemetry/DatabaseMetrics") {
  /** Nothing runs: for tests, and for programs that refresh by themselves. */
  static readonly layerIdle = Layer.effect(
    DatabaseMetrics,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const status = yield* SystemStatus
      const destinations = yield* Destinations
      const consumers = yield* Consumers
      const one = yield* Semaphore.make(1)
      const set = {
        entries: gauges.setter(gauges.entries),
        destinationEntries: gauges.setter(gauges.destinationEntries),
        oldestPendingAge: gauges.setter(gauges.oldestPendingAge),
        workers: gauges.setter(gauges.workers),
        paused: gauges.setter(gauges.paused),
        lagEvents: gauges.setter(lagEvents),
        lagSeconds: gauges.setter(lagSeconds),
        parked: gauges.setter(gauges.parked)
      }
      let latest = Option.none<Reading>()
      // The same trouble is told once.
      let isTold = false

      const readAndSet = Effect.gen(function*() {
        const { blockedKeys, counts } = yield* status.read
        const places = yield* destinations.list
        const projections = yield* ProjectionCatalog.list()
        // What a replaced version has not read is no lag: nobody is to read it.
        const retired = new Set(
          projections.filter((projection) => projection.status === "retired").map(subscriptionOf)
        )
        const readers = (yield* consumers.list).filter(({ subscription }) => !retired.has(subscription))
        yield* set.entries(Object.entries(counts).map(([state, { value }]) => [{ state }, value]))
        yield* Metric.update(gauges.blockedKeys, blockedKeys.value)
        const named = places.map((place) => ({
          ...place,
          label: { destination: place.name ?? place.destination ?? "main" }
        }))
        yield* set.destinationEntries(named.flatMap(({ dead, holding, label, pending }) => [
          [{ ...label, state: "pending" }, pending],
          [{ ...label, state: "holding" }, holding],
          [{ ...label, state: "dead" }, dead]
        ]))
        yield* set.oldestPendingAge(named.map(({ label, oldest }) => [label, (oldest ?? 0) / 1000]))
        yield* set.workers(named.map(({ label, workers }) => [label, workers]))
        yield* set.paused(named.map(({ label, pausedAt }) => [label, pausedAt === null ? 0 : 1]))
        yield* set.lagEvents(readers.map(({ lag, subscription }) => [{ subscription }, lag.events.value]))
        yield* set.lagSeconds(readers.map(({ lag, subscription }) => [{ subscription }, lag.seconds]))
        yield* set.parked(readers.map(({ parked, subscription }) => [{ subscription }, parked.value]))
        latest = Option.some({
          oldestPendingAge: Math.max(0, ...places.map(({ oldest }) => (oldest ?? 0) / 1000)),
          at: yield* Clock.currentTimeMillis
        })
        yield* Metric.update(gauges.up, 1)
        isTold = false
      })

      const tell = (line: string) =>
        Effect.suspend(() => {
          if (isTold) return Effect.void
          isTold = true
          return Effect.logWarning(line)
        })

      const refresh = readAndSet.pipe(
        SqlErrors.lostAsFailure,
        Effect.timeout(patience),
        Effect.catch((error) =>
          Effect.andThen(
            Metric.update(gauges.up, 0),
            tell(
              `the database's metrics were not read: ${
                error._tag === "SqlError" ? SqlErrors.serverText(error) : error.message
              }`
            )
          )
        ),
        quietly,
        one.withPermits(1),
        Effect.provideService(SqlClient, sql),
        Effect.provideService(SchemaName, yield* SchemaName)
      )
      return DatabaseMetrics.of({ refresh, latest: Effect.sync(() => latest) })
    })
  ).pipe(Layer.provide([SystemStatus.layer, Destinations.layer, Consumers.layer]))

  /** Refreshes on and on while it is in scope: every `OUTBOX_METRICS_INTERVAL` seconds, 15 unless set. */
  static readonly layer = Layer.effectDiscard(Effect.gen(function*() {
    const { refresh } = yield* DatabaseMetrics
    const interval = yield* read(seconds("OUTBOX_METRICS_INTERVAL", 15, 1, 3600))
    yield* Effect.andThen(refresh, Effect.sleep(interval)).pipe(Effect.forever, Effect.forkScoped)
  })).pipe(Layer.provideMerge(DatabaseMetrics.layerIdle))
}
