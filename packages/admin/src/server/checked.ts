/** What a request that does not fit the contract is answered, by the first field that does not; and what a defect is. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { HttpApiSchemaError } from "effect/http-api/HttpApiError"
import { isHttpServerError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as SchemaIssue from "effect/SchemaIssue"
import type { unhandled } from "effect/Types"
import { Checked } from "../api/Access.ts"
import * as Errors from "../api/errors.ts"

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const toInvalid = (error: HttpApiSchemaError) => {
  const [issue] = formatIssues(error.cause.issue).issues
  const path = (issue?.path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".")
  const field = path === "" ? error.kind.toLowerCase() : path
  const problem = issue?.message ?? "cannot be read"
  return new Errors.InvalidRequest({ field, problem, message: `${field}: ${problem}` })
}

/** The body ended early, or was larger than it may be. */
const unreadable = new Errors.InvalidRequest({
  field: "body",
  problem: "cannot be read, or is larger than 1 MiB",
  message: "body: cannot be read, or is larger than 1 MiB"
})

/** An answer that does not fit the contract is a defect of ours. */
const isOurs = ({ kind }: HttpApiSchemaError) => kind === "Body" || kind === "ResponseHeaders"

export const layerChecked = Layer.succeed(
  Checked,
  Checked.of((respond, { endpoint }) => {
    const broken = (cause: Cause.Cause<unknown>) =>
      Effect.andThen(
        Effect.logError(`${endpoint.method} ${endpoint.path} is broken`, cause),
        new Errors.InternalError({ message: "this is a defect of the program, which its log describes" })
      )
    return respond.pipe(
      Effect.catch((error): Effect.Effect<never, unhandled | Errors.InvalidRequest | Errors.InternalError> =>
        HttpApiSchemaError.is(error)
          ? isOurs(error) ? broken(Cause.fail(error)) : Effect.fail(toInvalid(error))
          : Effect.fail(error)
      ),
      Effect.catchCause((cause) => {
        if (!Cause.hasDies(cause)) return Effect.failCause(cause)
        return isHttpServerError(Cause.squash(cause)) ? Effect.fail(unreadable) : broken(cause)
      })
    )
  })
)
