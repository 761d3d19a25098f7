/** The API's endpoints and the services behind them, as one layer over a database. */
import { BlockedKeys, DeadLetters, FlowControl, RolloutReport } from "@zakops/outbox"
import { Destinations } from "@zakops/outbox/Destinations"
import { Samples } from "@zakops/outbox/Samples"
import { Wakeup } from "@zakops/outbox/Wakeup"
import { Workers } from "@zakops/outbox/Workers"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { Api } from "../Api.ts"
import { Audit } from "../Audit.ts"
import { Consumers } from "../Consumers.ts"
import { Doctor } from "../doctor/Doctor.ts"
import { Entries } from "../Entries.ts"
import { EventStreams } from "../EventStreams.ts"
import * as changing from "../handlers/changing.ts"
import * as log from "../handlers/log.ts"
import * as reading from "../handlers/reading.ts"
import { Purge } from "../Purge.ts"
import { SystemStatus } from "../SystemStatus.ts"
import { layerAccess } from "./access.ts"
import { layerChecked } from "./checked.ts"

const services = Layer.mergeAll(
  SystemStatus.layer,
  Entries.layer,
  EventStreams.layer,
  Audit.layer,
  Consumers.layer,
  Purge.layer,
  DeadLetters.layer,
  BlockedKeys.layer,
  FlowControl.layer,
  RolloutReport.layer,
  Workers.layer,
  Samples.layer,
  Destinations.layer,
  Doctor.layer
)

const handlers = Layer.mergeAll(
  reading.session,
  reading.overview,
  reading.entries,
  reading.workers,
  reading.destinations,
  reading.doctor,
  reading.audit,
  reading.rollout,
  changing.dead,
  changing.keys,
  changing.flow,
  changing.maintenance,
  log.consumers,
  log.projections,
  log.streams
)

/** Needs a client of the database and `ConsoleConfig`. */
export const layerApi = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(handlers),
  Layer.provide([layerAccess, layerChecked]),
  Layer.provide(services),
  Layer.provide(Wakeup.layer),
  Layer.provide(HttpServer.layerServices)
)
