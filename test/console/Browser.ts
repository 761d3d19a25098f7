/**
 * A real browser for the tests of the console, one for a file. What goes wrong on a page without being seen there (an error of a script, a
 * breach of the content security policy, a request to elsewhere) fails the test that has visited it.
 *
 * Chromium comes out of a registry package on Linux; elsewhere CHROMIUM names one. Where there is none the tests are skipped with a word; with
 * REQUIRE_BROWSER set that is a failure.
 */
import chromium from "@sparticuz/chromium"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { chromium as playwright } from "playwright-core"
import type { Browser as Chromium, BrowserContext, Page } from "playwright-core"
import { execFileSync } from "node:child_process"

/** Where the browser is, and that it starts; undefined where the tests are to be skipped. */
export const findBrowser = async (): Promise<string | undefined> => {
  try {
    const given = process.env["CHROMIUM"] ?? ""
    const path = given !== "" ? given : await chromium.executablePath()
    execFileSync(path, ["--version"], { stdio: ["ignore", "ignore", "pipe"], timeout: 60_000 })
    return path
  } catch (error) {
    if ((process.env["REQUIRE_BROWSER"] ?? "") !== "") throw error
    process.stdout.write(
      `no browser: the tests of the console are skipped (${String((error as Error).message).split("\n")[0]})\n`
    )
    return undefined
  }
}

export interface Look {
  readonly dark?: boolean
  readonly phone?: boolean
  /** Errors that are expected on the page, by a part of their text. */
  readonly expected?: RegExp
  /** Twice as many pixels: for pictures. */
  readonly sharp?: boolean
}

export class Browser extends Context.Service<Browser, {
  /** Opens the address in a tab, for as long as `use` takes. Dies of what went wrong unseen. */
  readonly visit: <A>(url: string, look: Look, use: (page: Page) => Promise<A>) => Effect.Effect<A>
}>()("@zakops/test/Browser") {
  static readonly layer = (executablePath: string) =>
    Layer.effect(
      Browser,
      Effect.gen(function*() {
        const browser = yield* Effect.acquireRelease(
          Effect.promise(() => start(executablePath)),
          (open) => Effect.promise(() => open.close())
        )
        const windows = new Map<string, Promise<BrowserContext>>()
        /** Those who look alike share one, so that the console is not loaded and compiled anew each time. */
        const windowOf = (look: Look) => {
          const key = `${look.dark} ${look.phone} ${look.sharp}`
          const known = windows.get(key) ?? openWindow(browser, look)
          windows.set(key, known)
          return known
        }
        return Browser.of({
          visit: (url, look, use) => Effect.promise(async () => visit(await windowOf(look), url, look, use))
        })
      })
    )
}

const start = (executablePath: string) =>
  playwright.launch({
    executablePath,
    args: ["--no-sandbox", "--no-zygote", "--disable-gpu", "--font-render-hinting=none", "--force-color-profile=srgb"]
  })

const openWindow = async (browser: Chromium, look: Look) => {
  const context = await browser.newContext({
    viewport: look.phone === true ? { width: 390, height: 844 } : { width: 1440, height: 900 },
    colorScheme: look.dark === true ? "dark" : "light",
    reducedMotion: "reduce",
    locale: "en-GB",
    deviceScaleFactor: look.sharp === true ? 2 : 1,
    hasTouch: look.phone === true
  })
  context.setDefaultTimeout(30_000)
  return context
}

const visit = async <A>(context: BrowserContext, url: string, look: Look, use: (page: Page) => Promise<A>) => {
  const complaints: Array<string> = []
  const complain = (what: string) => {
    if (look.expected?.test(what) !== true) complaints.push(what)
  }
  const page = await context.newPage()
  try {
    const { origin } = new URL(url)
    page.on("pageerror", (error) => complain(`a script failed: ${error.message}`))
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complain(`${message.type()}: ${message.text()}`)
    })
    page.on("dialog", (dialog) => {
      complain(`a dialog was opened: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on("request", (request) => {
      if (!request.url().startsWith(`${origin}/`)) complain(`a request went elsewhere: ${request.url()}`)
    })
    await page.goto(url)
    const result = await use(page)
    if (complaints.length > 0) throw new Error(complaints.join("\n"))
    return result
  } catch (error) {
    throw complaints.length === 0 ? error : new Error(complaints.join("\n"), { cause: error })
  } finally {
    await page.close()
  }
}
