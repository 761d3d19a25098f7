/** The deal desk's HTTP API, as a definition that server, client and docs page share. */
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { Deal, DealExists, DealNotFound, Stage } from "./dealDecider.ts"
import { Action, NeedsSignature, PipelineStage } from "./Deals.ts"

const Id = Schema.String.check(Schema.isUUID())
const Title = Schema.String.check(
  Schema.isPattern(/^[^\p{Cc}]{1,200}$/u, { message: "1 to 200 characters, none of them a control character" })
)
const Amount = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))

const params = { dealId: Id }

class DealsGroup extends HttpApiGroup.make("deals")
  .add(
    HttpApiEndpoint.post("create", "/", {
      payload: Schema.Struct({ dealId: Schema.optionalKey(Id), title: Title, amount: Amount }),
      success: Deal.pipe(HttpApiSchema.status(201)),
      error: DealExists
    }),
    HttpApiEndpoint.get("get", "/:dealId", { params, success: Deal, error: DealNotFound }),
    HttpApiEndpoint.post("moveStage", "/:dealId/stage", {
      params,
      payload: Schema.Struct({ stage: Stage }),
      success: Deal,
      error: [DealNotFound, NeedsSignature]
    }),
    HttpApiEndpoint.post("addAction", "/:dealId/actions", {
      params,
      payload: Schema.Struct({ actionId: Schema.optionalKey(Id), title: Title }),
      success: Action.pipe(HttpApiSchema.status(201)),
      error: DealNotFound
    })
  )
  // Requests that do not fit are answered with a problem document that names what is wrong, instead of an empty 400.
  .middleware(HttpApiMiddleware.ProblemDetails)
  .prefix("/deals")
{}

class ReportsGroup extends HttpApiGroup.make("reports")
  .add(HttpApiEndpoint.get("pipeline", "/pipeline", { success: Schema.Array(PipelineStage) }))
  .prefix("/reports")
{}

export class Api extends HttpApi.make("deal-desk")
  .add(DealsGroup)
  .add(ReportsGroup)
  .annotateMerge(OpenApi.annotations({ title: "Deal desk", description: "The worked example of ZakOps Outbox" }))
{}
