/**
 * The console as it was built, from memory. A path is looked up among the files that were there at the start: there is no way out of the
 * folder.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { extname, join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { common, consolePolicy, dataPolicy } from "./headers.ts"
import { etagOf, has, refusal } from "./responses.ts"

/** Beside this file in what is published; in dist where the sources run. */
const folders = ["../console/", "../../dist/console/"].map((path) => fileURLToPath(new URL(path, import.meta.url)))

/** Where the console is, if it was built. */
export const builtConsole = (): string | undefined => folders.find((folder) => existsSync(join(folder, "index.html")))

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".txt": "text/plain; charset=utf-8"
}

interface File {
  readonly content: Uint8Array<ArrayBuffer>
  readonly type: string
  readonly etag: string
  /** Its name changes with its content. */
  readonly immutable: boolean
}

const readFiles = (folder: string): ReadonlyMap<string, File> => {
  const files = new Map<string, File>()
  for (const found of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!found.isFile()) continue
    const path = join(found.parentPath, found.name)
    const type = types[extname(found.name)]
    if (type === undefined) continue
    const content = new Uint8Array(readFileSync(path))
    const name = `/${relative(folder, path).split(sep).join("/")}`
    files.set(name, { content, type, etag: etagOf(content), immutable: /-[\w-]{8,}\.\w+$/.test(name) })
  }
  return files
}

/** Answers requests for the console's files, by their paths below it. */
export const serveFiles = (folder: string | undefined): (request: Request, path: string) => Response => {
  const files = folder === undefined ? new Map<string, File>() : readFiles(folder)
  return (request, path) => {
    if (request.method !== "GET") {
      return refusal(405, "InvalidRequest", "method: has to be GET", { field: "method", problem: "has to be GET" })
    }
    const file = files.get(path === "/" ? "/index.html" : path)
    if (file === undefined) {
      return path === "/"
        ? refusal(
          503,
          "Unavailable",
          "the console is not built: run the build; the API is at api, its docs at api/docs"
        )
        : refusal(404, "NotFound", `there is nothing at ${path}`)
    }
    const headers = new Headers({
      ...common,
      "content-type": file.type,
      "content-security-policy": file.type.startsWith("text/html") ? consolePolicy : dataPolicy,
      "cache-control": file.immutable ? "public, max-age=31536000, immutable" : "no-cache",
      etag: file.etag
    })
    if (has(request.headers, file.etag)) return new Response(null, { status: 304, headers })
    return new Response(file.content, { headers })
  }
}
