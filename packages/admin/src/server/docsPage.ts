/** The API's docs page and its OpenAPI document, which need no token: they say what can be asked, and nothing of what is there. */
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import { createHash } from "node:crypto"
import { Api } from "../Api.ts"
import { common, docsPolicy } from "./headers.ts"
import { etagOf, has } from "./responses.ts"

/** The document, for an API that stands under `basePath`. */
export const openApi = (basePath: string) => OpenApi.fromApi(at(basePath))

const at = (basePath: string) =>
  Api.annotate(OpenApi.Servers, [{ url: basePath === "" ? "/" : basePath }])
    .annotate(OpenApi.Transform, (document) => ({ ...document, components: withSmallSchemes(document["components"]) }))

/** Names of schemes are the same in capitals, which not every reader of such documents knows: the docs page took `Bearer` for a password. */
const withSmallSchemes = (components: OpenApi.OpenAPISpec["components"]) => ({
  ...components,
  securitySchemes: Object.fromEntries(
    Object.entries(components.securitySchemes).map(([name, scheme]) =>
      [name, scheme.type === "http" ? { ...scheme, scheme: scheme.scheme.toLowerCase() } : scheme] as const
    )
  )
})

/**
 * Its fonts are the system's, the token is what one signs in with, and nothing on it leads to a service of its makers, who would be sent the
 * document. Not all of these are among the settings that the layer knows; it passes them on.
 */
const settings = {
  withDefaultFonts: false,
  authentication: { preferredSecurityScheme: "token" },
  showDeveloperTools: "never",
  hideClientButton: true,
  telemetry: false
}

interface Page {
  readonly html: string
  readonly policy: string
  readonly etag: string
}

/** The page with all its scripts in it, some 3 MB: made when somebody first asks for it. */
const makePage = async (basePath: string): Promise<Page> => {
  const { dispose, handler } = HttpRouter.toWebHandler(
    HttpApiScalar.layer(at(basePath), { path: "/docs", scalar: settings }),
    { disableLogger: true }
  )
  const page = await (await handler(new Request("http://localhost/docs"))).text()
  const html = page.replace("<html>", "<html lang=\"en\">")
  await dispose()
  const scripts = [...html.matchAll(/<script(?![^>]*type="application\/json")[^>]*>([\s\S]*?)<\/script>/g)]
  const digests = scripts.map(([, script = ""]) => createHash("sha256").update(script).digest("base64"))
  return { html, policy: docsPolicy(digests), etag: etagOf(html) }
}

export const serveDocs = (basePath: string): (request: Request) => Promise<Response> => {
  let page: Promise<Page> | undefined
  return async (request) => {
    page ??= makePage(basePath)
    const { etag, html, policy } = await page
    const headers = new Headers({
      ...common,
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
      "cache-control": "no-cache",
      etag
    })
    return has(request.headers, etag)
      ? new Response(null, { status: 304, headers })
      : new Response(html, { headers })
  }
}
