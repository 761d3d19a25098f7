/**
 * The API, by the contract that the server is made of: addresses, questions and answers are typed and checked on both sides.
 *
 * Addresses are relative to where the console is served from, so that it works under any path. The token goes with every request. A question
 * that was asked before carries the ETag of its answer, and where that still holds the answer is `NotModified`: nothing is sent, decoded or drawn again.
 */
import { Api } from "@zakops/admin/Api"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { currentToken, refuseToken } from "./session.ts"

/** What was answered before is what would be answered now. */
export class NotModified extends Data.TaggedError("NotModified") {}

/** The ETag of the answer that the one who asks already has, and who is told that of the new one. */
export const Condition = Context.Reference<{
  readonly etag: string | undefined
  readonly seen: (etag: string | undefined) => void
}>("@zakops/console/Condition", { defaultValue: () => ({ etag: undefined, seen: () => {} }) })

const base = new URL(".", location.href).toString().replace(/\/$/, "")

const prepare = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.map(Condition, ({ etag }) => {
    const token = currentToken()
    const known = token === "" ? request : HttpClientRequest.bearerToken(request, token)
    return etag === undefined ? known : HttpClientRequest.setHeader(known, "if-none-match", etag)
  })

const make = Effect.gen(function*() {
  const fetching = yield* HttpClient.HttpClient
  const httpClient = fetching.pipe(
    HttpClient.mapRequestEffect(prepare),
    HttpClient.transformResponse(Effect.flatMap((response) => {
      if (response.status === 304) return Effect.fail(new NotModified())
      if (response.status === 401) refuseToken()
      return Effect.map(Condition, ({ seen }) => {
        seen(response.headers["etag"])
        return response
      })
    }))
  )
  return yield* HttpApiClient.makeWith(Api, { httpClient, baseUrl: base })
}).pipe(
  Effect.provide(FetchHttpClient.layer),
  Effect.provideService(HttpClient.TracerPropagationEnabled, false)
)

export const client = Effect.runSync(make)
export type Client = typeof client
