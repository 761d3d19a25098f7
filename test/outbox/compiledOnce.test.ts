/** A statement that is put together once is the one that is put together each time. */
import { assert, layer } from "@effect/vitest"
import * as Database from "@zakops/migrations/Database"
import { DatabaseTime } from "@zakops/migrations/DatabaseTime"
import type { ValueOf } from "@zakops/outbox/connecting/compiledOnce"
import { compiledOnce } from "@zakops/outbox/connecting/compiledOnce"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Fragment } from "effect/sql/Statement"
import * as TestDatabase from "../support/TestDatabase.ts"

const Input = Schema.Struct({
  text: Schema.NullOr(Schema.String.check(Schema.isPattern(/^[^\0]*$/))),
  number: Schema.Int.check(Schema.isBetween({ minimum: -2147483648, maximum: 2147483647 })),
  many: Schema.Array(Schema.Literals(["a", "b"]))
})
type Input = typeof Input.Type

interface Row {
  readonly text: string | null
  readonly number: number
  readonly many: ReadonlyArray<string>
  readonly always: string
  readonly isNow: boolean
}

/** With a value that is always the same, one that stands there twice, and a fragment. */
const statementOf = ({ sql }: Database.Database) => (value: ValueOf<Input>, time: Fragment) => {
  const text = value(({ text }) => text)
  const rest = sql`${value(({ many }) => many)}::text[] AS many, ${"$1, 'always'"}::text AS always`
  return sql<Row>`SELECT ${text}::text AS text, ${value(({ number }) => number)}::int AS number, ${rest},
    ${text}::text IS NOT DISTINCT FROM ${text}::text AND ${time} = statement_timestamp() AS "isNow"`
}

layer(TestDatabase.layer)("a statement that is put together once", (it) => {
  const make = Effect.gen(function*() {
    const db = yield* Database.make
    const statement = statementOf(db)
    return { statement, ...compiledOnce<Input, Row>(db, statement) }
  })

  it.effect.prop(
    "has the text and the values of the template, and gives its rows",
    [Input],
    ([input]) =>
      Effect.gen(function*() {
        const db = yield* Database.make
        const { compiled, run, statement } = yield* make
        const each = statement((of) => of(input), yield* db.now)
        assert.deepStrictEqual(compiled?.(input), each.compile())
        const rows = yield* run(input)
        assert.deepStrictEqual(rows, yield* each)
        assert.deepStrictEqual(rows, [{ ...input, always: "$1, 'always'", isNow: true }])
      })
  )

  it.effect("is not, where the time has to be asked for each time", () =>
    Effect.gen(function*() {
      let asked = 0
      const askedFor = Effect.provideService(make, DatabaseTime, (sql) =>
        Effect.sync(() => {
          asked++
          return sql`statement_timestamp()`
        }))
      const { compiled, run } = yield* askedFor
      assert.isUndefined(compiled)
      const input = { text: "a", number: 1, many: ["b"] } as const
      for (const times of [1, 2]) {
        assert.deepStrictEqual(yield* run(input), [{ ...input, always: "$1, 'always'", isNow: true }])
        assert.strictEqual(asked, times)
      }
    }))
})
