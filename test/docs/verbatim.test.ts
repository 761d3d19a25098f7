/** Every TypeScript block of the README and of docs/ stands in a file beside this one, which is compiled and run by the tests here. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..", "..")

/** Indentation does not count, nor do empty lines. */
const lines = (text: string) => text.split("\n").map((line) => line.trim()).filter((line) => line !== "")

const sources = readdirSync(import.meta.dirname).filter((file) => file.endsWith(".ts"))
  .map((file) => ({ file, text: `\n${lines(readFileSync(join(import.meta.dirname, file), "utf8")).join("\n")}\n` }))

const pages = ["README.md", "CONTRIBUTING.md", ...readdirSync(join(root, "docs")).map((file) => join("docs", file))]
  .filter((file) => file.endsWith(".md"))
  .map((file) => ({ file, text: readFileSync(join(root, file), "utf8") }))

const blocks = pages.flatMap(({ file, text }) =>
  [...text.matchAll(/^```(?:ts|typescript)\n(.*?)^```/gms)].map(([, code = ""], index) => ({ name: `${file}, block ${index + 1}`, code }))
)

describe("the code in the documentation", () => {
  it.each(blocks)("$name stands in a file that is compiled", ({ code }) => {
    const wanted = `\n${lines(code).join("\n")}\n`
    assert.isTrue(sources.some(({ text }) => text.includes(wanted)), `no file in test/docs contains:\n${code}`)
  })

  it("of the README is the whole of its example, in at most 20 lines", () => {
    const example = readFileSync(join(import.meta.dirname, "readmeExample.ts"), "utf8")
    const region = /^\/\/ #region README\n(.*?)^\/\/ #endregion/ms.exec(example)?.[1] ?? ""
    const [block] = blocks.filter(({ name }) => name.startsWith("README.md"))
    assert.strictEqual(block?.code, region)
    assert.isAtMost(region.trimEnd().split("\n").length, 20)
  })

  it.each(pages)("$file links to pages and headings that exist", ({ file, text }) => {
    for (const [, target = ""] of text.matchAll(/\]\(([^)#\s]*)(?:#[^)\s]*)?\)/g)) {
      if (target === "" || /^https?:/.test(target)) continue
      const path = join(root, file, "..", target)
      assert.doesNotThrow(() => readdirOrFile(path), `${file} links to ${target}`)
    }
  })
})
