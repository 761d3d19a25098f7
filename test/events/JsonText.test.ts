/** JSON text is what Postgres takes as jsonb and gives back the same; anything else is named by its path. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as JsonText from "@zakops/events/JsonText"
import { gaps, upcast } from "@zakops/events/Upcaster"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestDatabase from "../support/TestDatabase.ts"

const Leaf = Schema.Union([
  Schema.Null,
  Schema.Boolean,
  Schema.Finite,
  Schema.Literals(["", "a", "\u0001", "\"\\/\b\f\n\r\t", "\u2028", "ü", "😀", "\uffff", "__proto__"])
])
const Tree = Schema.Struct({
  leaf: Leaf,
  list: Schema.Array(Leaf),
  record: Schema.Record(Schema.Literals(["a", "b c", "ü"]), Schema.Array(Leaf)).pipe(Schema.optionalKey)
})

layer(TestDatabase.layerEmpty)("JSON text", (it) => {
  it.effect.prop(
    "comes back from Postgres as it went in",
    { trees: Schema.Array(Tree) },
    Effect.fnUntraced(function*({ trees }) {
      const sql = yield* SqlClient
      const text = Result.getOrThrow(JsonText.encode(trees, "data"))
      const [row] = yield* sql<{ json: unknown }>`SELECT ${text}::jsonb AS json`
      // JSON has one zero.
      assert.deepStrictEqual(row?.json, JSON.parse(text.replaceAll("-0,", "0,")))
    }),
    { arbitrary: { runs: 50 } }
  )

  it.effect("says before Postgres does what Postgres refuses", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      for (const text of ["a\u0000b", "\ud800", "\udc00x"]) {
        assert.isTrue(Result.isFailure(JsonText.encode(text, "data")), JSON.stringify(text))
        const refused = yield* Effect.result(sql`SELECT ${JSON.stringify(text)}::jsonb`)
        assert.isTrue(Result.isFailure(refused), JSON.stringify(text))
      }
    }))
})

describe("what is not JSON", () => {
  const Bad = Schema.Literals(["NaN", "infinity", "NUL", "NUL in a name", "bigint", "function", "Date", "Map"])
  const bad = {
    NaN: NaN,
    infinity: Infinity,
    NUL: "\u0000",
    "NUL in a name": { "\u0000": 1 },
    bigint: 1n,
    function: () => 1,
    Date: new Date(0),
    Map: new Map()
  }
  const Path = Schema.Array(Schema.Union([Schema.Literals(["a", "b c"]), Schema.Literals([0, 1])])).check(
    Schema.isMaxLength(6)
  )

  it.effect.prop(
    "is named by its path, wherever it lies",
    { kind: Bad, path: Path },
    Effect.fnUntraced(function*({ kind, path }) {
      const whole = path.reduceRight<unknown>(
        (inner, step) =>
          typeof step === "number"
            ? Array.from({ length: step + 1 }, (_, i) => i === step ? inner : i)
            : { [step]: inner },
        bad[kind]
      )
      const result = JsonText.encode(whole, "data")
      const at = JsonText.pathOf("data", path)
      assert.isTrue(Result.isFailure(result) && result.failure.path.startsWith(at), at)
      yield* Effect.void
    })
  )

  it("is also what contains itself, or is nested too deeply to be parsed", () => {
    const loop: Record<string, unknown> = {}
    loop["self"] = loop
    assert.isTrue(Result.isFailure(JsonText.encode(loop, "data")))
    const deep = (levels: number) => Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 1)
    assert.isTrue(Result.isSuccess(JsonText.encode(deep(200), "data")))
    assert.isTrue(Result.isFailure(JsonText.encode(deep(201), "data")))
  })
})

describe("upcasting", () => {
  const Version = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 }))

  it.effect.prop(
    "from any version is the same as through each in between",
    { from: Version, to: Version },
    Effect.fnUntraced(function*({ from, to }) {
      const steps = Object.fromEntries(
        Array.from({ length: 12 }, (_, i) => [i + 1, (json: unknown) => [...(json as ReadonlyArray<number>), i + 1]])
      )
      const whole = upcast(steps, [], Math.min(from, to), to)
      let stepwise: Result.Result<unknown, unknown> = Result.succeed([])
      for (let version = Math.min(from, to); version < to; version++) {
        stepwise = Result.flatMap(stepwise, (json) => upcast(steps, json, version, version + 1))
      }
      assert.deepStrictEqual(whole, stepwise)
      assert.deepStrictEqual(
        Result.getOrThrow(whole),
        Array.from({ length: to - Math.min(from, to) }, (_, i) => Math.min(from, to) + i)
      )
      yield* Effect.void
    })
  )

  it.effect.prop(
    "needs every upcaster from the oldest on",
    { newest: Version, missing: Version },
    Effect.fnUntraced(function*(given) {
      const { missing, newest } = given
      const all = Object.fromEntries(Array.from({ length: newest - 1 }, (_, i) => [i + 1, (json: unknown) => json]))
      assert.deepStrictEqual(gaps(all, newest), [])
      const { [missing]: removed, ...rest } = all
      // Without the oldest one, that version is merely no longer read.
      const expected = removed === undefined || missing === 1 ? [] : [missing]
      assert.deepStrictEqual(gaps(rest, newest), expected)
      yield* Effect.void
    })
  )
})
