/**
 * Traces, metrics and logs to an OpenTelemetry collector, as the variables of OpenTelemetry say: `OTEL_EXPORTER_OTLP_ENDPOINT`, and
 * `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER`, of which each is `otlp` or `none`.
 *
 * Effect's exporters want those three set; here they are `otlp` unless they are, where an endpoint is. They send batches in the background
 * and once more at the end. What a collector does not take is thrown away: telemetry never holds up a delivery.
 */
import { Measured } from "@zakops/events/Tracing"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"

const exporters = ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"] as const
const endpoints = ["", "_TRACES", "_METRICS", "_LOGS"].map((signal) => `OTEL_EXPORTER_OTLP${signal}_ENDPOINT`)

const given = (name: string) =>
  Effect.map(
    Effect.orDie(Config.option(Config.String(name))),
    (value) => Option.filter(value, (text) => text.trim() !== "")
  )

/** Whether a collector is named. */
export const isWanted = Effect.map(Effect.forEach(endpoints, given), (found) => found.some(Option.isSome))

const withDefaults = Effect.gen(function*() {
  const missing: Record<string, string> = {}
  for (const name of exporters) if (Option.isNone(yield* given(name))) missing[name] = "otlp"
  return ConfigProvider.orElse(yield* ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: missing }))
})

/**
 * Nothing, unless an endpoint is set. Has to be provided to the layers that it is to see: `OutboxLive.pipe(Layer.provide(...))`.
 * `http/protobuf` unless `OTEL_EXPORTER_OTLP_PROTOCOL` is `http/json`.
 *
 * @param serviceName `service.name`, where neither `OTEL_SERVICE_NAME` nor `OTEL_RESOURCE_ATTRIBUTES` says it
 */
export const layerFromEnvironment = (serviceName: string) =>
  Layer.unwrap(Effect.gen(function*() {
    if (!(yield* isWanted)) return Layer.empty
    const named = Option.isSome(yield* given("OTEL_SERVICE_NAME")) ||
      Option.exists(yield* given("OTEL_RESOURCE_ATTRIBUTES"), (text) => /(^|,)\s*service\.name=/.test(text))
    const json = Option.contains(yield* given("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/json")
    return Layer.merge(
      Otlp.layerFromConfig(named ? {} : { resource: { serviceName } }).pipe(
        Layer.provide(json ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf),
        Layer.provide(FetchHttpClient.layer),
        Layer.provide(ConfigProvider.layer(withDefaults))
      ),
      Layer.succeed(Measured, true)
    )
  }))
