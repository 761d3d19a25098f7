/** All races, by the name that the command line has for them. */
import type { Race } from "./Measurement.ts"
import { brokerRaces } from "./races/brokers.ts"
import { consumerRaces } from "./races/consumers.ts"
import { consoleRaces } from "./races/console.ts"
import { drainRaces } from "./races/drain.ts"
import { emitRaces } from "./races/emit.ts"
import { eventStoreRaces } from "./races/eventStore.ts"
import { latencyRaces } from "./races/latency.ts"
import { mixedRaces } from "./races/mixed.ts"
import { orderRaces } from "./races/order.ts"
import { retentionRaces } from "./races/retention.ts"
import { scaleRaces } from "./races/scale.ts"
import { scalingRaces } from "./races/scaling.ts"

export const suites: { readonly [suite: string]: ReadonlyArray<Race> } = {
  drain: drainRaces,
  emit: emitRaces,
  latency: latencyRaces,
  order: orderRaces,
  consumers: consumerRaces,
  scale: scaleRaces,
  mixed: mixedRaces,
  retention: retentionRaces,
  "event-store": eventStoreRaces,
  brokers: brokerRaces,
  scaling: scalingRaces,
  console: consoleRaces
}
