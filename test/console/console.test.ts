/**
 * The console in a real browser, over the real server and a real database: every page and every action, for those who may and those who may
 * not, with malicious data, under a path, with the keyboard alone, in light and dark, and on a phone.
 */
import { layer } from "@effect/vitest"
import * as Layer from "effect/Layer"
import * as TestDatabase from "../support/TestDatabase.ts"
import { access } from "./access.ts"
import { actions } from "./actions.ts"
import { Browser, findBrowser } from "./Browser.ts"
import { consumerActions } from "./consumerActions.ts"
import { deadLetters } from "./deadLetters.ts"
import { docs } from "./docs.ts"
import { filters } from "./filters.ts"
import { frame } from "./frame.ts"
import { keyboard } from "./keyboard.ts"
import { links } from "./links.ts"
import { live } from "./live.ts"
import { pages } from "./pages.ts"
import { paging } from "./paging.ts"
import { safety } from "./safety.ts"
import { Served } from "./servers.ts"
import { World } from "./world.ts"

const executablePath = await findBrowser()

const Live = (path: string) =>
  Layer.merge(Browser.layer(path), Served.layer).pipe(
    Layer.provideMerge(World.layer),
    Layer.provideMerge(TestDatabase.layer)
  )

if (executablePath !== undefined) {
  layer(Live(executablePath), { excludeTestServices: true, timeout: "5 minutes" })("the console", (it) => {
    pages(it)
    safety(it)
    keyboard(it)
    access(it)
    docs(it)
    frame(it)
    filters(it)
    links(it)
    live(it)
    deadLetters(it)
    consumerActions(it)
    actions(it)
    // Last: what it puts into the log stays there.
    paging(it)
  })
}
