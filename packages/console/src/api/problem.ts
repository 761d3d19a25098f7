/** What to tell the reader of a request that failed: what the server said, or that it was not reached. */
import * as Cause from "effect/Cause"
import { isHttpClientError } from "effect/http/HttpClientError"
import * as Predicate from "effect/Predicate"

const isTagged = (error: unknown): error is { readonly _tag: string; readonly message?: unknown } =>
  Predicate.hasProperty(error, "_tag") && typeof error._tag === "string"

export const inWords = (error: unknown): string => {
  if (isHttpClientError(error)) {
    const { reason } = error
    if (reason._tag === "StatusCodeError") return `The server answered with status ${reason.response.status}.`
    if (reason._tag === "DecodeError") {
      return "The server's answer is not what this console understands: reload the page."
    }
    return "The server does not answer. It is asked again."
  }
  if (!isTagged(error)) return error instanceof Error ? error.message : String(error)
  return typeof error.message === "string" && error.message !== "" ? error.message : error._tag
}

export const causeInWords = (cause: Cause.Cause<unknown>): string => inWords(Cause.squash(cause))
