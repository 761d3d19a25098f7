/** Emitting outside of a transaction does not compile: the compiler says so, over one file that does it right and one that does not. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { join } from "node:path"

describe("emitting outside of a transaction", () => {
  it("does not compile", () => {
    const fixtures = join(import.meta.dirname, "fixtures/outsideTransaction")
    const compiler = join(import.meta.dirname, "../../node_modules/typescript/bin/tsc")
    const { status, stdout } = spawnSync(process.execPath, [compiler, "-p", fixtures, "--pretty", "false"], {
      encoding: "utf8"
    })
    const errors = stdout.split("\n").filter((line) => /error TS\d+/.test(line))
    assert.notStrictEqual(status, 0)
    assert.lengthOf(errors, 1, stdout)
    assert.match(errors[0] ?? "", /outside\.ts/)
    assert.match(stdout, /Transaction' is not assignable to type '(Outbox|never)'/)
  })
})
