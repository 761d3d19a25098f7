/** Every TypeScript block of the documentation stands in a file beside this one, which is compiled and run. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { blocksOf, pages, root } from "./pages.ts"

/** Indentation and empty lines do not count. */
const normal = (code: string) =>
  `\n${code.split("\n").map((line) => line.trim()).filter((line) => line !== "").join("\n")}\n`

const sources = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  .map((file) => normal(readFileSync(join(import.meta.dirname, file), "utf8")))

/** The anchor of a heading, as the common viewers of Markdown make it. */
const anchor = (heading: string) => heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s-]/gu, "").replaceAll(" ", "-")

const anchorsOf = (text: string) => [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchor(heading))

const anchors = new Map(pages.map(({ file, text }) => [file, anchorsOf(text)]))

describe("the documentation", () => {
  it.each(blocksOf("ts"))("$name is code that is compiled", ({ code }) => {
    assert.isTrue(sources.some((source) => source.includes(normal(code))), `no file in test/docs contains:\n${code}`)
  })

  it("has the whole example in the README, in at most 20 lines", () => {
    const example = readFileSync(join(import.meta.dirname, "readmeExample.ts"), "utf8")
    const region = /^\/\/ #region README\n(.*?)^\/\/ #endregion/ms.exec(example)?.[1] ?? ""
    const inReadme = blocksOf("ts").find(({ name }) => name.endsWith("of README.md"))
    assert.strictEqual(inReadme?.code, region)
    assert.isAtMost(region.trimEnd().split("\n").length, 20)
  })

  it.each(pages)("of $file links to files and headings that exist", ({ file, text }) => {
    const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target).filter((target) => {
      if (/^https?:/.test(target)) return false
      const [path = "", heading] = target.split("#")
      const found = path === "" ? file : join(dirname(file), path)
      return !existsSync(join(root, found)) || (heading !== undefined && anchors.get(found)?.includes(heading) !== true)
    })
    assert.deepStrictEqual(broken, [])
  })
})
