/** What the tests look for on a page. */
import type { Page } from "playwright-core"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"

/** Goes to a page of the console without loading it anew, and waits for its heading. */
export const goTo = async (page: Page, hash: string, heading: string | RegExp) => {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
  await page.getByRole("heading", { level: 1, name: heading }).waitFor()
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

interface Violation {
  readonly id: string
  readonly help: string
  readonly nodes: ReadonlyArray<{ readonly target: ReadonlyArray<string>; readonly failureSummary: string }>
}

/** What axe has to say of the page, in a line each; `only` names the rules that are looked at. */
export const axeFindings = async (page: Page, only?: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
  // Into the page's own world as the debugger does it, which a content security policy does not keep out.
  if (!(await page.evaluate(`"axe" in window`))) await page.evaluate(axe)
  const options = only === undefined ? {} : { runOnly: { type: "rule", values: only } }
  const found = await page.evaluate(
    `axe.run(document, ${
      JSON.stringify({ ...options, resultTypes: ["violations"] })
    }).then(({ violations }) => violations)`
  ) as ReadonlyArray<Violation>
  return found.flatMap(({ help, id, nodes }) =>
    nodes.map(({ failureSummary, target }) =>
      `${id}: ${help}: ${target.join(" ")}: ${failureSummary.replaceAll("\n", " ")}`
    )
  )
}

/** Looks again until it holds. Not in the page: what is given to it as text is what its policy forbids. */
export const until = async (holds: () => Promise<boolean>) => {
  const end = performance.now() + 30_000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error("what was waited for did not come about")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Waits until so many rows are there. */
export const rowsAre = (page: Page, count: number) =>
  until(async () => await page.locator("tbody tr").count() === count)

/** How many pixels the page is wider than its window. */
export const overhang = (page: Page): Promise<number> =>
  page.evaluate("document.documentElement.scrollWidth - innerWidth")

/** Waits for the words of a notice. */
export const noticed = async (page: Page, words: string | RegExp) => {
  await page.locator(".notice").filter({ hasText: words }).first().waitFor()
}

/** Confirms the dialog that is open: types what it asks for, and presses the button. */
export const confirm = async (page: Page, button: string | RegExp) => {
  const dialog = page.getByRole("dialog")
  const action = dialog.getByRole("button", { name: button })
  await action.waitFor()
  const field = dialog.getByLabel(/^Type/)
  await until(async () => await field.count() > 0 || await action.isEnabled())
  if (await field.count() > 0) {
    const phrase = await dialog.locator("label code").textContent()
    await field.fill(phrase ?? "")
  }
  await action.click()
}
