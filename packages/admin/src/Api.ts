/**
 * The HTTP API of the outbox, as a definition that server, client and docs page share. It runs in a browser: nothing here knows of a
 * database or of Node.
 *
 * Lists are paged by cursor: give `next` of one page as `after` of the next. What refuses a request is a JSON body with `_tag` and
 * `message` (see `errors.ts`). Every answer to a GET has an ETag. A parameter or a field that is not in the contract is refused: a
 * condition that is misspelt would have met more than was meant.
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as OpenApi from "effect/http-api/OpenApi"
import { Checked } from "./api/Access.ts"
import { AuditGroup } from "./api/audit.ts"
import { ConsumersGroup, ProjectionsGroup } from "./api/consumers.ts"
import { DeadLettersGroup } from "./api/dead.ts"
import { DoctorGroup } from "./api/doctor.ts"
import { EntriesGroup } from "./api/entries.ts"
import { FlowGroup } from "./api/flow.ts"
import { KeysGroup } from "./api/keys.ts"
import { MaintenanceGroup } from "./api/maintenance.ts"
import { OverviewGroup } from "./api/overview.ts"
import { RolloutGroup } from "./api/rollout.ts"
import { SessionGroup } from "./api/session.ts"
import { StreamsGroup } from "./api/streams.ts"
import { DestinationsGroup, WorkersGroup } from "./api/workers.ts"

export class Api extends HttpApi.make("zakops")
  .add(
    SessionGroup,
    OverviewGroup,
    EntriesGroup,
    DeadLettersGroup,
    KeysGroup,
    FlowGroup,
    ConsumersGroup,
    ProjectionsGroup,
    StreamsGroup,
    WorkersGroup,
    DestinationsGroup,
    MaintenanceGroup,
    RolloutGroup,
    DoctorGroup,
    AuditGroup
  )
  .middleware(Checked)
  .annotate(HttpApi.QueryParseOptions, { onExcessProperty: "error" })
  .annotate(HttpApi.PayloadParseOptions, { onExcessProperty: "error" })
  .annotateMerge(OpenApi.annotations({
    title: "ZakOps Outbox",
    version: "1",
    description: "What an operator sees and does: entries, dead letters, keys, pauses, consumers, streams. " +
      "Numbers of 64 bits are decimal text; event data is JSON as text."
  }))
{}
