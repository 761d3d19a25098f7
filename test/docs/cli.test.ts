/** docs/cli.md holds every command, with what its help says, and nothing of commands that are not there. */
import { assert, describe, it } from "@effect/vitest"
import { checks } from "@zakops/admin/doctor/Doctor"
import { exitCodes } from "@zakops/cli/exitCodes"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { page, renewed, sections } from "../support/cliReference.ts"

const text = readFileSync(page, "utf8")

describe("docs/cli.md", () => {
  it.effect("is what --help says of each command (node test/support/cliReference.ts writes it)", () =>
    Effect.gen(function*() {
      assert.strictEqual(text, yield* renewed)
    }))

  it.effect("leaves no command without a description, and no flag", () =>
    Effect.gen(function*() {
      const all = yield* sections
      assert.isAbove(all.length, 30)
      const bare = all.filter(({ text }) => / \|\s*\|$/m.test(text.split("|-|-|\n")[1] ?? "") || /\n\n\.\n/.test(text))
      assert.deepStrictEqual(bare.map(({ path }) => path), [])
    }))

  it("names every check of the doctor, and every exit code", () => {
    const missing = checks.filter(({ name }) => !text.includes(`| \`${name}\` |`)).map(({ name }) => name)
    assert.deepStrictEqual(missing, [])
    for (const code of Object.values(exitCodes)) assert.include(text, `\n| ${code} |`)
  })
})
