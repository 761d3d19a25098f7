/**
 * Every metric there is, and what it is called in Prometheus: the name after OpenTelemetry's rules, so that a scrape and a collector that
 * is sent OTLP say the same. Dots become underscores, a unit of time stands behind, and a counter ends in `_total`.
 */
import { lagEvents, lagSeconds } from "@zakops/event-store/SubscriptionLag"
import * as MessageOperation from "@zakops/events/MessageOperation"
import { deliveries } from "@zakops/inbox/InboxGuard"
import { listenerConnected } from "@zakops/outbox/connecting/listen"
import * as DeliveryMetrics from "@zakops/outbox/delivering/deliveryMetrics"
import { attempts } from "@zakops/outbox/delivering/ProcessorCounts"
import { deletedRows } from "@zakops/outbox/Maintenance"
import type * as Metric from "effect/Metric"
import * as gauges from "./gauges.ts"

/** All metrics of the product. */
export const metrics: ReadonlyArray<Metric.Metric<number, unknown>> = [
  attempts,
  DeliveryMetrics.latency,
  DeliveryMetrics.leaseExpirations,
  DeliveryMetrics.destinationUp,
  MessageOperation.operationDuration,
  MessageOperation.processDuration,
  listenerConnected,
  deletedRows,
  deliveries,
  gauges.up,
  gauges.entries,
  gauges.blockedKeys,
  gauges.destinationEntries,
  gauges.oldestPendingAge,
  gauges.workers,
  gauges.paused,
  lagEvents,
  lagSeconds,
  gauges.parked
]

const units: Readonly<Record<string, string>> = { s: "_seconds", By: "_bytes" }

/** A metric's name in Prometheus. */
const nameOf = ({ attributes, id, type }: Metric.Metric<number, unknown>): string =>
  `${id.replaceAll(/[^a-zA-Z0-9_]/g, "_")}${units[attributes?.["unit"] ?? ""] ?? ""}${
    type === "Counter" ? "_total" : ""
  }`

const names = new Map(metrics.map((metric) => [metric.id, nameOf(metric)]))

/** The name in Prometheus of a metric of the product; that of another one as it is. */
export const prometheusName = (id: string): string => names.get(id) ?? id
