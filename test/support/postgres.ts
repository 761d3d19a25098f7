/** The Postgres that all test files share: embedded, or the server of DATABASE_URL. */
import { start } from "@zakops/deal-desk/EmbeddedPostgres"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  export interface ProvidedContext {
    readonly serverUrl: string
  }
}

export default async function(project: TestProject) {
  const given = process.env["DATABASE_URL"]
  if (given !== undefined && given !== "") {
    project.provide("serverUrl", given)
    return
  }
  const scope = Scope.makeUnsafe()
  // Nothing of this outlives the run, so nothing is worth an fsync.
  const settings = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }
  project.provide("serverUrl", await Effect.runPromise(Scope.provide(start(settings), scope)))
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
