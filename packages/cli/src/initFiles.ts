/** What `zakops init` writes. A test compiles it, runs it, and compares the variables with those of .env.example. */

/** The value of a variable in a .env file, quoted where it has to be. */
const quoted = (value: string) =>
  /^[\w:/@.?&=%+-]*$/.test(value) ? value : value.includes(`"`) ? `'${value}'` : `"${value}"`

/** `.env`, with the database of `url`. */
export const envFile = (url: string): string =>
  `# Read by zakops in this folder, and by node --env-file=.env. It holds a password: keep it out of version control.

# The Postgres to use, version 14 or later.
DATABASE_URL=${quoted(url)}

# Everything else has a default. These are the ones that are changed first; docs/cli.md and the README have them all.
# OUTBOX_SCHEMA=zakops
# OUTBOX_PROCESSOR_ENABLED=true
# OUTBOX_MAX_ATTEMPTS=5
# OUTBOX_RETENTION_DELIVERED=30
# OUTBOX_RETENTION_ATTEMPTS=30
# OUTBOX_POOLER=transaction
# DIRECT_URL=postgres://user:password@localhost:5432/database
`

/** `worker.ts`, or how else it is called: an event, a function that emits it, a handler, and the program that runs them. */
export const workerFile = (name: string): string =>
  `/**
 * A first worker, written by "zakops init": it delivers what was emitted to the event log, and handles each event once.
 *
 *   node --env-file=.env ${name}              runs until Ctrl-C
 *   node --env-file=.env ${name} greet Ann    emits an event
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as EventLog from "@zakops/event-store/EventLog"
import * as Subscription from "@zakops/event-store/Subscription"
import { EventDefinition } from "@zakops/events"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { Outbox, OutboxLive, TransactionalPublisher } from "@zakops/outbox"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"

const Greeted = EventDefinition.make("person.greeted", {
  payload: Schema.Struct({ name: Schema.String })
})

/** Emits in the transaction of your own changes: both are committed, or neither. */
const greet = Effect.fn("greet")(function*(name: string) {
  const outbox = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  const id = yield* transact(Effect.gen(function*() {
    // Your own statements stand here.
    return yield* outbox.emit(yield* Greeted.make({ name }), { correlationId: randomUUID() })
  }))
  yield* Effect.logInfo(\`emitted \${id}\`)
})

/** Handles what arrives in the log. What a handler does in this database is done once for each event. */
const handle = Effect.gen(function*() {
  return yield* Consumer.run({
    consumerId: "greeter",
    source: yield* Subscription.make("greeter"),
    handlers: [
      Consumer.on(Greeted, ({ data }) => Effect.logInfo(\`hello \${data.name}\`))
    ]
  })
}).pipe(Effect.provide(InboxGuard.layer), Effect.scoped)

const DatabaseLive = PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })
const AppLive = OutboxLive.pipe(Layer.provide(EventLog.layerPublisher), Layer.provideMerge(DatabaseLive))

const [, , command, name] = process.argv
const program = Effect.gen(function*() {
  if (command === "greet" && name !== undefined) return yield* greet(name)
  return yield* handle
})
NodeRuntime.runMain(Effect.provide(program, AppLive))
`

/** What worker.ts imports, and the command. */
export const neededPackages = [
  "effect",
  "@effect/platform-node",
  "@effect/sql-pg",
  "@zakops/cli",
  "@zakops/event-store",
  "@zakops/events",
  "@zakops/inbox",
  "@zakops/migrations",
  "@zakops/outbox"
] as const
