/** A statement whose text is kept is the one that is put together each time, but for what stands there for the reader. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Database from "@zakops/migrations/Database"
import { keepText, withoutLayout } from "@zakops/outbox/connecting/keptText"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import * as Statement from "effect/sql/Statement"
import * as TestDatabase from "../support/TestDatabase.ts"

describe("layout", () => {
  it("is left out of a statement, and nothing that stands in quotes", () => {
    const cases = [
      ["  SELECT 1,\n    2 -- the second\n  FROM a", "SELECT 1, 2 FROM a"],
      ["SELECT '  --  ''  --', \"a  --\" -- it's\n, 1", "SELECT '  --  ''  --', \"a  --\" , 1"],
      ["SELECT 1 - -1, 2--1\n", "SELECT 1 - -1, 2"],
      ["-- nothing\nSELECT\t$1", "SELECT $1"],
      ["SELECT 'a', -- it's\n  'b'", "SELECT 'a', 'b'"]
    ] as const
    const unusual = [
      "SELECT E'it\\'s  -- two',\n  1",
      "SELECT $$two  --  spaces$$",
      "SELECT $a$two  spaces$a$",
      "SELECT 1 /* it's */, 'two  spaces'",
      "SELECT 'a'\n  'b'",
      "SELECT 'a' -- it's\n  'b'",
      "SELECT 1 -- one\r, 2",
      "SELECT U&'two  spaces'"
    ]
    for (const text of unusual) assert.strictEqual(withoutLayout(text), text)
    assert.strictEqual(withoutLayout("SELECT 'type' , $1, -- /* $$ E'\n $2"), "SELECT 'type' , $1, $2")
    for (const [text, shorter] of cases) assert.strictEqual(withoutLayout(text), shorter)
  })
})

/** What a statement is made of: parameters, fragments that are there or not, and something that has no fixed words. */
const Part = Schema.Union([
  Schema.Struct({
    kind: Schema.Literal("number"),
    value: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 }))
  }),
  Schema.Struct({ kind: Schema.Literal("text"), value: Schema.Literals(["a", "' -- b", "$1"]) }),
  Schema.Struct({ kind: Schema.Literal("nested"), value: Schema.Literals([1, 2]) }),
  Schema.Struct({ kind: Schema.Literal("constant"), value: Schema.Literals(["'one  -- '", "\"column\"", "2"]) }),
  Schema.Struct({ kind: Schema.Literal("name"), value: Schema.Literal("column") })
])
const Statements = Schema.Array(Schema.Array(Part).check(Schema.isMinLength(1), Schema.isMaxLength(4))).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(30)
)

const partOf = (sql: SqlClient, { kind, value }: typeof Part.Type): Statement.Fragment => {
  switch (kind) {
    case "number":
      return sql`${value}::int`
    case "text":
      return sql`${value}::text -- as it is\n`
    case "nested":
      return sql`(SELECT max(n)
        FROM (VALUES ${sql.csv([...Array(value)].map((_, n) => sql`(${n}::int)`))}) AS listed (n))`
    case "constant":
      return sql.literal(value)
    case "name":
      return sql`${sql(value)}`
  }
}

layer(TestDatabase.layer)("a statement whose text is kept", (it) => {
  it.effect.prop(
    "gives the same rows as it would without, whatever was run before",
    [Statements],
    ([statements]) =>
      Effect.gen(function*() {
        const db = yield* Database.make
        const kept = keepText(db)
        for (const parts of statements) {
          const selected = db.sql.csv(parts.map((part, index) => {
            const name = db.sql.literal(`c${index}`)
            return db.sql`${partOf(db.sql, part)} AS ${name}`
          }))
          const statement = db.sql`
          SELECT ${selected}
          -- Some column.
          FROM (SELECT 7 AS "column") AS one`
          assert.deepStrictEqual(yield* kept.rows(statement), yield* statement)
          assert.deepStrictEqual(yield* kept.values(statement), yield* statement.values)
        }
      })
  )

  it.effect("is sent with the same text each time, and shows itself whole to who transforms statements", () =>
    Effect.gen(function*() {
      const db = yield* Database.make
      const kept = keepText(db)
      const statementOf = (n: number) =>
        db.sql<{ n: number; query: string }>`
          SELECT ${n}::int AS n, query FROM pg_stat_activity -- this one
          WHERE pid = pg_backend_pid()`
      for (const n of [1, 2]) {
        const query = "SELECT $1::int AS n, query FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        assert.deepStrictEqual(yield* kept.rows(statementOf(n)), [{ n, query }])
      }
      const more = Effect.provideService(
        kept.rows(statementOf(3)),
        Statement.CurrentTransformer,
        (statement) => Effect.succeed(db.sql`${statement} AND ${"me"}::text IS NOT NULL`)
      )
      assert.deepStrictEqual((yield* more).map(({ n }) => n), [3])
    }))
})
