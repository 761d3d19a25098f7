/** `GET /metrics`, `/livez` and `/readyz` on a router, with all that they need behind them. */
import { Measured } from "@zakops/events/Tracing"
import * as Layer from "effect/Layer"
import { DatabaseMetrics } from "./DatabaseMetrics.ts"
import { Health } from "./Health.ts"
import * as Prometheus from "./Prometheus.ts"

/**
 * Needs the database and a router, and answers whoever reaches it: nothing of an event is in it, but names of types and destinations are.
 * Fails with `InvalidSetting` where `OUTBOX_METRICS_INTERVAL` or `OUTBOX_READY_LAG` is not allowed.
 */
export const layer = Layer.mergeAll(Prometheus.layerHttp, Health.layerHttp).pipe(
  Layer.provideMerge(Health.layer),
  Layer.provideMerge(DatabaseMetrics.layer)
)

/** Durations and latencies are measured by what this is provided to: processors and consumers. */
export const layerMeasured = Layer.succeed(Measured, true)
