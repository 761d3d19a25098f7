/**
 * The Postgres schema that holds every table of ZakOps, `zakops` unless told otherwise.
 *
 * A name that reaches SQL is always one of these: checked against a narrow pattern, then quoted. No other module builds a
 * table name.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/**
 * Letters, digits and underscores, not starting with a digit or `pg_`, nor Postgres' own information_schema, at most 50 characters: a notification channel is named
 * after the schema, and Postgres cuts identifiers at 63 bytes. Case is kept, since the name is quoted.
 */
const pattern = /^(?!pg_|information_schema$)[A-Za-z_][A-Za-z0-9_]{0,49}$/i

const allowed = "letters, digits and underscores, not starting with a digit or pg_, at most 50 characters"

export class InvalidSchemaName extends Schema.TaggedError<InvalidSchemaName>()("InvalidSchemaName", {
  name: Schema.String
}) {
  override get message() {
    return `OUTBOX_SCHEMA is ${JSON.stringify(this.name.slice(0, 100))}: allowed are ${allowed}`
  }
}

/** The names of the tables, quoted and qualified, ready to stand in SQL. */
export interface Tables {
  readonly schema: string
  readonly outbox: string
  readonly inbox: string
  readonly agentEvents: string
  readonly checkpoints: string
  readonly migrations: string
  readonly streams: string
  readonly snapshots: string
  readonly parkedEvents: string
  readonly projections: string
  readonly subjectKeys: string
  readonly outboxAttempts: string
  readonly dedupeKeys: string
  readonly flow: string
  readonly audit: string
  readonly tasks: string
  readonly shadowDeliveries: string
  readonly workers: string
  readonly samples: string
}

const tablesOf = (name: string): Tables => {
  const qualified = (table: string) => `"${name}"."${table}"`
  return {
    schema: `"${name}"`,
    outbox: qualified("outbox"),
    inbox: qualified("inbox"),
    agentEvents: qualified("agent_events"),
    checkpoints: qualified("checkpoints"),
    migrations: qualified("migrations"),
    streams: qualified("streams"),
    snapshots: qualified("snapshots"),
    parkedEvents: qualified("parked_events"),
    projections: qualified("projections"),
    subjectKeys: qualified("subject_keys"),
    outboxAttempts: qualified("outbox_attempts"),
    dedupeKeys: qualified("dedupe_keys"),
    flow: qualified("flow"),
    audit: qualified("audit"),
    tasks: qualified("tasks"),
    shadowDeliveries: qualified("shadow_deliveries"),
    workers: qualified("workers"),
    samples: qualified("samples")
  }
}

/**
 * The schema in use. Left undefined, it is the variable `OUTBOX_SCHEMA`, and `zakops` where that is not set: so that outbox, inbox and
 * log agree without being told. Layers read it when they are built.
 */
export const SchemaName = Context.Reference<string | undefined>("@zakops/migrations/SchemaName", {
  defaultValue: () => undefined
})

/** The checked name of the schema in use. Fails with `InvalidSchemaName` when it is not allowed. */
export const schemaName: Effect.Effect<string, InvalidSchemaName> = Effect.gen(function*() {
  const given = yield* SchemaName
  const name = given ?? (yield* Effect.orDie(Config.String("OUTBOX_SCHEMA").pipe(Config.withDefault("zakops"))))
  return pattern.test(name) ? name : yield* new InvalidSchemaName({ name })
})

/** The quoted table names of the schema in use. */
export const tables: Effect.Effect<Tables, InvalidSchemaName> = Effect.map(schemaName, tablesOf)

/** Uses the schema `name` in all layers that this one is provided to, whatever `OUTBOX_SCHEMA` says. */
export const layerSchemaName = (name: string): Layer.Layer<never> => Layer.succeed(SchemaName, name)
