/** Pausing and resuming a type of events, or a destination. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { InvalidRequest } from "./errors.ts"
import { Text, Time } from "./values.ts"

export const Pause = Schema.Struct({
  kind: Schema.Literals(["type", "destination"]),
  name: Schema.String,
  pausedAt: Time,
  pausedBy: Schema.String
})
export type Pause = typeof Pause.Type

/** What can be paused. A destination's name is that of its publisher, or of its route. */
const payload = Schema.Struct({ kind: Schema.Literals(["type", "destination"]), name: Text(500) })

export class FlowGroup extends HttpApiGroup.make("flow")
  .add(
    HttpApiEndpoint.get("list", "/", { success: Schema.Array(Pause) }),
    /** `changed` is false where it was paused already. */
    HttpApiEndpoint.post("pause", "/pause", {
      payload,
      success: Schema.Struct({ changed: Schema.Boolean }),
      error: InvalidRequest
    }),
    /** `changed` is false where it was not paused. */
    HttpApiEndpoint.post("resume", "/resume", {
      payload,
      success: Schema.Struct({ changed: Schema.Boolean }),
      error: InvalidRequest
    })
  )
  .middleware(Access)
  .prefix("/api/flow")
{}
