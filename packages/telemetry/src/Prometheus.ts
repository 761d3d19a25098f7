/** All metrics of the process in the text format of Prometheus. */
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { prometheusName } from "./metricNames.ts"

const options = { metricNameMapper: prometheusName }

/** The text. */
export const format = PrometheusMetrics.format(options)

/** `GET /metrics` on the router. */
export const layerHttp = PrometheusMetrics.layerHttp(options)
