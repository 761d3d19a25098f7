/** Which states of the database's are tried again, which are not, and what each counts as. */
import { assert, it } from "@effect/vitest"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const failing = (code: string, more: object = {}) =>
  new SqlError({ reason: new UnknownError({ cause: Object.assign(new Error("said by a test"), { code, ...more }) }) })

/** Tried again from the beginning, where the work is ours from its beginning. */
const passing = ["40001", "40P01", "57P01", "57P02", "57P03", "08000", "08003", "08006", "08P01", "53300"]
const connection = ["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT"]

/** Nobody's fault, and not to be tried again at once: processors outlast it, callers are told. */
const trouble = ["25006", "53100", "53200", "53400", "55P03", "57014", "58030", "XX000"]

/** The statement's or its data's own fault. */
const faults = ["22001", "22P02", "23502", "23505", "23514", "25P02", "28P01", "42501", "42P01", "54000"]

it.each([...passing, ...connection])("%s passes", (code) => {
  assert.isTrue(SqlErrors.isPassing(failing(code)))
  assert.isTrue(SqlErrors.isDatabaseTrouble(failing(code)))
})

it.each(trouble)("%s is the database's trouble, and does not pass by itself", (code) => {
  assert.isFalse(SqlErrors.isPassing(failing(code)))
  assert.isTrue(SqlErrors.isDatabaseTrouble(failing(code)))
})

it.each(faults)("%s is neither", (code) => {
  assert.isFalse(SqlErrors.isPassing(failing(code)))
  assert.isFalse(SqlErrors.isDatabaseTrouble(failing(code)))
})

it("a value that the client cannot put into the protocol is neither", () => {
  const error = failing("none", { _tag: "PgTypesCodecError" })
  assert.isFalse(SqlErrors.isPassing(error))
  assert.isFalse(SqlErrors.isDatabaseTrouble(error))
})

it("the documentation names those that are tried again", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/processing.md"), "utf8")
  for (const code of ["40001", "40P01", "57P01", "57P02", "57P03", "53300", "ECONNRESET", "ECONNREFUSED"]) {
    assert.include(page, `\`${code}\``)
  }
})
