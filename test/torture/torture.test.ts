/** Torture, as short as it can be with every fault in it: the books only. Figures depend on the machine; `pnpm torture` holds them to it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { tell } from "./checks.ts"
import { mutate, mutations } from "./mutations.ts"
import { torture } from "./run.ts"

const root = join(import.meta.dirname, "../..")

describe("torture", () => {
  it.live("ends with books that add up", () =>
    Effect.gen(function*() {
      const seed = Math.floor(Math.random() * 1_000_000)
      const { checks } = yield* torture({ profile: "quick", seconds: 40, seed }, Effect.logDebug)
      const failed = checks.filter(({ problems }) => problems.length > 0)
      assert.strictEqual(failed.map(({ name, problems }) => `${name}:${tell(problems)}`).join("\n"), "", `seed ${seed}`)
    }), 360_000)

  it.each(Object.entries(mutations))("has a mutation of the %s that still fits the product", (_, { changes }) => {
    for (const change of changes) {
      const source = readFileSync(join(root, change.module), "utf8")
      assert.notStrictEqual(mutate([change], change.module, source), source)
    }
  })
})
