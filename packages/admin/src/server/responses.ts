/** What becomes of an answer on its way out: an ETag, a body for every refusal, and the headers. */
import { createHash } from "node:crypto"
import { common, dataPolicy } from "./headers.ts"

/** Of the content, so that it is the same for as long as the content is. */
export const etagOf = (content: string | Uint8Array): string =>
  `"${createHash("sha256").update(content).digest("base64url").slice(0, 27)}"`

/** Whether the browser has it already. Weak and strong are the same here: nothing compresses on the way that this would know of. */
export const has = (headers: Headers, etag: string): boolean =>
  (headers.get("if-none-match") ?? "").split(",").some((one) => one.trim().replace(/^W\//, "") === etag)

/** An error with a body that the API's client knows. */
export const refusal = (
  status: number,
  tag: string,
  message: string,
  more: Readonly<Record<string, unknown>> = {}
): Response =>
  new Response(JSON.stringify({ _tag: tag, message, ...more }), {
    status,
    headers: {
      ...common,
      "content-type": "application/json",
      "content-security-policy": dataPolicy,
      "cache-control": "no-store"
    }
  })

/** What has no body of its own: a path that is not there, a body that cannot be read, a defect outside the endpoints. */
const withoutBody = (status: number, path: string): Response => {
  switch (status) {
    case 404:
      return refusal(404, "NotFound", `there is nothing at ${path}`)
    case 413:
      return refusal(413, "InvalidRequest", "body: is larger than 1 MiB", {
        field: "body",
        problem: "is larger than 1 MiB"
      })
    case 500:
      return refusal(500, "InternalError", "this is a defect of the program, which its log describes")
    default:
      return refusal(status, "InvalidRequest", "body: cannot be read as JSON", {
        field: "body",
        problem: "cannot be read as JSON"
      })
  }
}

const isJson = (response: Response) => (response.headers.get("content-type") ?? "").includes("application/json")

/** The seconds that the body of a 429 names; see `TooManyRequests`. */
const waitOf = (body: string): number => {
  const { retryAfter } = JSON.parse(body) as { readonly retryAfter: number }
  return retryAfter
}

/** An answer of the API as it leaves: streams go through as they are. */
export const finish = async (request: Request, path: string, response: Response): Promise<Response> => {
  if (response.status >= 400 && !isJson(response)) {
    await response.body?.cancel()
    return withoutBody(response.status, path)
  }
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(common)) headers.set(name, value)
  headers.set("content-security-policy", dataPolicy)
  headers.set("vary", "authorization")
  if (response.status !== 200 || !isJson(response) || request.method !== "GET") {
    headers.set("cache-control", "no-store")
    if (response.status === 401) headers.set("www-authenticate", "Bearer")
    if (response.status !== 429) return new Response(response.body, { status: response.status, headers })
    const body = await response.text()
    headers.set("retry-after", String(waitOf(body)))
    return new Response(body, { status: response.status, headers })
  }
  // It may be kept, and is asked for again each time.
  headers.set("cache-control", "private, no-cache")
  const body = await response.text()
  // When figures were read says nothing new where they are the same.
  const etag = etagOf(body.replace(/^\{"at":"[^"]*",/, "{"))
  headers.set("etag", etag)
  if (!has(request.headers, etag)) return new Response(body, { status: 200, headers })
  headers.delete("content-type")
  headers.delete("content-length")
  return new Response(null, { status: 304, headers })
}
