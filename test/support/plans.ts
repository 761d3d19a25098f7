/**
 * The plans of the statements that an effect runs, as Postgres makes them: with the parameters that were given, and without (generic, which
 * is what a prepared statement has from the sixth time on).
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"

export interface Plan {
  /** The statement. */
  readonly text: string
  readonly kind: "custom" | "generic"
  /** Tables that are read from one end to the other. */
  readonly scanned: ReadonlyArray<string>
  readonly indexes: ReadonlyArray<string>
  /** CTEs that a join reads from one end to the other for each row of the other side. */
  readonly reread: ReadonlyArray<string>
}

/** What stands in EXPLAIN's JSON, as far as it is looked at. */
interface Named {
  readonly "Node Type": string
  readonly "Relation Name"?: string | undefined
  readonly "Index Name"?: string | undefined
}

interface Node extends Named {
  readonly "CTE Name"?: string | undefined
  readonly "Parent Relationship"?: string | undefined
  readonly Plans?: ReadonlyArray<Node> | undefined
}

const named = {
  "Node Type": Schema.String,
  "Relation Name": Schema.optional(Schema.String),
  "Index Name": Schema.optional(Schema.String)
}

const Node: Schema.Codec<Node> = Schema.Struct({
  ...named,
  "CTE Name": Schema.optional(Schema.String),
  "Parent Relationship": Schema.optional(Schema.String),
  Plans: Schema.optional(Schema.Array(Schema.suspend((): Schema.Codec<Node> => Node)))
})

const Explained = Schema.Array(Schema.Struct({ "QUERY PLAN": Schema.Array(Schema.Struct({ Plan: Node })) }))
const decode = Schema.decodeUnknownEffect(Explained)

const nodesOf = (node: Node): ReadonlyArray<Node> => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

/** A nested loop whose other side may have more than one row. */
const isLoop = ({ "Node Type": type, Plans = [] }: Node) =>
  type === "Nested Loop" &&
  Plans.some((child) => child["Parent Relationship"] === "Outer" && child["Node Type"] !== "Result")

const rereadIn = (node: Node, isRepeated = false): ReadonlyArray<string> => [
  ...(isRepeated && node["CTE Name"] !== undefined ? [node["CTE Name"]] : []),
  ...(node.Plans ?? []).flatMap((child) => {
    const relation = child["Parent Relationship"]
    // What is planned apart is made once, or looked up.
    const isApart = relation === "InitPlan" || relation === "SubPlan"
    return rereadIn(child, !isApart && (isRepeated || (isLoop(node) && relation === "Inner")))
  })
]

const toPlan = (text: string, kind: Plan["kind"]) => (rows: unknown) =>
  Effect.map(decode(rows), (explained): Plan => {
    const roots = explained.flatMap((row) => row["QUERY PLAN"]).map(({ Plan }) => Plan)
    const nodes = roots.flatMap(nodesOf)
    return {
      text,
      kind,
      scanned: nodes.flatMap((node) => node["Node Type"] === "Seq Scan" ? node["Relation Name"] ?? [] : []),
      indexes: nodes.flatMap((node) => node["Index Name"] ?? []),
      reread: roots.flatMap((root) => rereadIn(root))
    }
  })

/** A parameter as a literal, whose type Postgres finds from its place. */
const literal = (value: unknown): string => {
  if (value === null || value === undefined) return "NULL"
  if (value instanceof Date) return literal(value.toISOString())
  if (Array.isArray(value)) return literal(`{${value.map((element) => JSON.stringify(element)).join()}}`)
  return `'${String(value).replaceAll("'", "''")}'`
}

const explain = Effect.fnUntraced(function*(text: string, params: ReadonlyArray<unknown>) {
  const sql = yield* SqlClient
  const custom = yield* sql.unsafe(`EXPLAIN (FORMAT JSON) ${text}`, params)
  const generic = yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`SET LOCAL plan_cache_mode = force_generic_plan`
    yield* sql.unsafe(`PREPARE looked_at AS ${text}`)
    const given = params.length === 0 ? "" : `(${params.map(literal).join()})`
    const rows = yield* sql.unsafe(`EXPLAIN (FORMAT JSON) EXECUTE looked_at${given}`)
    yield* sql`DEALLOCATE looked_at`
    return rows
  }))
  return [yield* toPlan(text, "custom")(custom), yield* toPlan(text, "generic")(generic)]
})

/** What a transaction of its own makes of an effect: settings of the planner, say. */
export type Within = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError, R>

/**
 * The plans of all statements of `self` that name the table: each statement once, with the parameters that it had first; as they are made
 * `within` a transaction, where one is given.
 */
export const plansOf = Effect.fnUntraced(function*<A, E, R>(
  table: string,
  self: Effect.Effect<A, E, R>,
  within: Within = (self) => self
) {
  const statements = new Map<string, ReadonlyArray<unknown>>()
  const watched = Effect.provideService(self, Statement.CurrentTransformer, (statement) =>
    Effect.sync(() => {
      const [text, params] = statement.compile()
      if (text.includes(table) && !statements.has(text)) statements.set(text, params)
      return statement
    }))
  yield* watched
  const plans = yield* Effect.forEach([...statements], ([text, params]) => within(explain(text, params)))
  return plans.flat()
})

/** A node that reads a table, as it was run. */
export interface Scan {
  readonly node: string
  readonly table: string
  /** Undefined where the table was read from its beginning. */
  readonly index: string | undefined
  /** Rows that it has read, kept or not. */
  readonly rows: number
}

interface RunNode extends Named {
  readonly "Actual Rows": number
  readonly "Actual Loops": number
  readonly "Rows Removed by Filter"?: number | undefined
  readonly Plans?: ReadonlyArray<RunNode> | undefined
}

const RunNode: Schema.Codec<RunNode> = Schema.Struct({
  ...named,
  "Actual Rows": Schema.Number,
  "Actual Loops": Schema.Number,
  "Rows Removed by Filter": Schema.optional(Schema.Number),
  Plans: Schema.optional(Schema.Array(Schema.suspend((): Schema.Codec<RunNode> => RunNode)))
})

const decodeRun = Schema.decodeUnknownEffect(
  Schema.NonEmptyArray(Schema.Struct({ "QUERY PLAN": Schema.NonEmptyArray(Schema.Struct({ Plan: RunNode })) }))
)

const scansOf = (node: RunNode): ReadonlyArray<Scan> => [
  // What was never run has read nothing.
  ...(node["Relation Name"] === undefined || node["Actual Loops"] === 0
    ? []
    : [{
      node: node["Node Type"],
      table: node["Relation Name"],
      index: node["Index Name"],
      rows: (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)) * node["Actual Loops"]
    }]),
  ...(node.Plans ?? []).flatMap(scansOf)
]

/**
 * What each SELECT of `self` that names one of the tables reads of them: run with EXPLAIN ANALYZE before it is run itself, in the same
 * transaction and with its settings.
 */
export const scansIn = Effect.fnUntraced(
  function*<A, E, R>(tables: ReadonlyArray<string>, self: Effect.Effect<A, E, R>) {
    const scans: Array<Scan> = []
    const sql = yield* SqlClient
    yield* Effect.provideService(self, Statement.CurrentTransformer, (statement) =>
      Effect.gen(function*() {
        const [text, params] = statement.compile()
        if (!tables.some((table) => text.includes(table))) return statement
        const rows = yield* Effect.orDie(Effect.provideService(
          sql.unsafe(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, params),
          Statement.CurrentTransformer,
          undefined
        ))
        const [{ "QUERY PLAN": [{ Plan }] }] = yield* Effect.orDie(decodeRun(rows))
        scans.push(...scansOf(Plan))
        return statement
      }))
    return scans
  }
)
