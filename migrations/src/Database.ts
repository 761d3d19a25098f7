/** One database as the SQL of the other packages sees it: the client, the names of the tables, and whose clock tells the time. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import { DatabaseTime } from "./DatabaseTime.ts"
import type { InvalidSchemaName, Tables } from "./SchemaName.ts"
import { schemaName, tables } from "./SchemaName.ts"

export interface Database {
  readonly sql: SqlClient
  /** The schema's checked name, unquoted. */
  readonly schema: string
  /** Quoted and qualified table names, to be interpolated. */
  readonly table: { readonly [Name in keyof Tables]: Fragment }
  /** The SQL expression for "now". */
  readonly now: Effect.Effect<Fragment>
}

/** Reads schema name and clock from the context, once: for layers. */
export const make: Effect.Effect<Database, InvalidSchemaName, SqlClient> = Effect.gen(function*() {
  // The program's client may rename columns on their way out, to camel case say; what the product asks for, it asks for by name.
  const sql = (yield* SqlClient).withoutTransforms()
  const names = yield* tables
  const time = yield* DatabaseTime
  const literal = (name: keyof Tables) => sql.literal(names[name])
  return {
    sql,
    schema: yield* schemaName,
    table: {
      schema: literal("schema"),
      outbox: literal("outbox"),
      inbox: literal("inbox"),
      agentEvents: literal("agentEvents"),
      checkpoints: literal("checkpoints"),
      migrations: literal("migrations"),
      streams: literal("streams"),
      snapshots: literal("snapshots"),
      parkedEvents: literal("parkedEvents"),
      projections: literal("projections"),
      subjectKeys: literal("subjectKeys"),
      outboxAttempts: literal("outboxAttempts"),
      dedupeKeys: literal("dedupeKeys"),
      flow: literal("flow"),
      audit: literal("audit"),
      tasks: literal("tasks"),
      shadowDeliveries: literal("shadowDeliveries"),
      workers: literal("workers"),
      samples: literal("samples")
    },
    now: time(sql)
  }
})
