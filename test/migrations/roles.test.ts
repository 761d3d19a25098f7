/** The roles, each as a user that logs in as it: what it may do, through the API, and what the database refuses it. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as Subscription from "@zakops/event-store/Subscription"
import { Permanent, Transient } from "@zakops/events/EventPublisher"
import { InboxGuard } from "@zakops/inbox"
import { applyRoles } from "@zakops/migrations/roles"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { FlowControl, layerServices, Outbox, OutboxConfig } from "@zakops/outbox"
import { OutboxOverview, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { DealMade } from "../support/events.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { layerAs, layerDatabase, schema, urlOf } from "../support/logins.ts"
import { eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { run } from "../support/zakops.ts"

/** What a program that only emits has. */
const emitting = OutboxLive.layer.pipe(
  Layer.provideMerge(OutboxConfig.layerWith({ processorEnabled: false })),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(layerAs("emitter"))
)

const worker = OutboxConfig.layerWith({}).pipe(Layer.provideMerge(layerAs("worker")))
const working = Layer.mergeAll(layerServices, InboxGuard.layer).pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(worker)
)
const workingElsewhere = Layer.provideMerge(FlowControl.layer, layerServices).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(worker)
)

const emit = Effect.gen(function*() {
  const { transact } = yield* TransactionalPublisher
  const outbox = yield* Outbox
  const event = yield* DealMade.make({ dealId: "d", title: "t" })
  const correlationId = randomUUID()
  return yield* transact(outbox.emitAll([
    { event, correlationId },
    { event, correlationId, orderingKey: "k", headers: { a: "b" }, delay: "0 seconds" },
    { event, correlationId, maxAttempts: 2, expiresAt: new Date(Date.now() + 3_600_000) },
    { event, correlationId, dedupeKey: correlationId },
    { event, correlationId, dedupeKey: correlationId }
  ]))
})

/** Asks the role for each statement, and expects each to be refused for want of a right. */
const areRefused = (statements: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    for (const statement of statements) {
      const error = yield* Effect.flip(sql.unsafe(statement))
      assert.strictEqual(SqlErrors.sqlState(error), "42501", `${statement}: ${SqlErrors.serverText(error)}`)
    }
  })

layer(layerDatabase, { excludeTestServices: true })("with the roles,", (it) => {
  it.effect("an emitter writes through the API, and can neither read, change nor delete what was written", () =>
    Effect.gen(function*() {
      const ids = yield* Effect.provide(emit, emitting, { local: true })
      assert.strictEqual(new Set(ids).size, 4)
      yield* Effect.provide(
        areRefused([
          `SELECT event_data FROM ${schema}.outbox`,
          `SELECT correlation_id FROM ${schema}.outbox`,
          `SELECT headers FROM ${schema}.outbox`,
          `SELECT event_type FROM ${schema}.shadow_deliveries`,
          `DELETE FROM ${schema}.shadow_deliveries`,
          `SELECT event_data FROM ${schema}.agent_events`,
          `SELECT error FROM ${schema}.outbox_attempts`,
          `SELECT key FROM ${schema}.subject_keys`,
          `SELECT * FROM ${schema}.inbox`,
          `SELECT state FROM ${schema}.snapshots`,
          `UPDATE ${schema}.outbox SET event_data = '{}'`,
          `UPDATE ${schema}.outbox SET status = 'pending'`,
          `DELETE FROM ${schema}.outbox`,
          `DELETE FROM ${schema}.dedupe_keys`,
          `TRUNCATE ${schema}.outbox`,
          `INSERT INTO ${schema}.outbox (id, correlation_id, status) VALUES (gen_random_uuid(), gen_random_uuid(), 'dead')`,
          `INSERT INTO ${schema}.outbox (id, correlation_id, waits_for) VALUES (gen_random_uuid(), gen_random_uuid(), 'key')`,
          `INSERT INTO ${schema}.outbox (id, correlation_id, seq) OVERRIDING SYSTEM VALUE VALUES (gen_random_uuid(), gen_random_uuid(), 1)`,
          `INSERT INTO ${schema}.agent_events (id) VALUES (gen_random_uuid())`,
          `INSERT INTO ${schema}.flow (kind, name, paused_at) VALUES ('type', 'deal.made', now())`,
          `CREATE TABLE ${schema}.mine (a int)`,
          `ALTER TABLE ${schema}.outbox DISABLE TRIGGER ALL`
        ]),
        layerAs("emitter"),
        { local: true }
      )
    }))

  it.effect("a worker delivers to the log, reads it, and handles its events once", () =>
    Effect.gen(function*() {
      const ids = yield* Effect.provide(emit, emitting, { local: true })
      const seen = yield* Effect.provide(
        Effect.gen(function*() {
          const guard = yield* InboxGuard
          yield* (yield* OutboxProcessor).drain
          const seen = new Set<string>()
          const subscription = yield* Subscription.make("reading")
          const running = yield* Effect.forkChild(subscription.consume((batch) =>
            Effect.forEach(batch, ({ id }) =>
              guard.once(
                { eventId: id, consumerId: "reading" },
                Effect.sync(() => seen.add(id))
              ), { discard: true })
          ))
          yield* eventually(Effect.sync(() =>
            ids.every((id) => seen.has(id))
          ))
          yield* Fiber.interrupt(running)
          return seen
        }),
        working,
        { local: true }
      )
      assert.isTrue(ids.every((id) => seen.has(id)))
    }))

  it.effect("a worker delivers elsewhere, keeps the history of what fails, pauses, resumes and clears away", () =>
    Effect.gen(function*() {
      yield* Effect.provide(emit, emitting, { local: true })
      yield* Effect.provide(
        Effect.gen(function*() {
          const fake = yield* FakePublisher
          const flow = yield* FlowControl
          const { drain } = yield* OutboxProcessor
          const sql = yield* SqlClient
          const answers = [new Transient({ reason: "later" }), new Permanent({ reason: "never" })]
          fake.respond = () => {
            const answer = answers.pop()
            return answer === undefined ? Effect.void : Effect.fail(answer)
          }
          assert.deepInclude(yield* drain, { delivered: 2, retried: 1, dead: 1 })
          assert.isTrue(yield* flow.pause({ type: "deal.made" }, { by: "me" }))
          assert.isTrue(yield* flow.resume({ type: "deal.made" }, { by: "me" }))
          const { overview } = yield* Effect.provide(OutboxOverview, OutboxOverview.layer)
          assert.strictEqual((yield* overview).dead, 1)
          assert.lengthOf(yield* sql`SELECT FROM ${sql(schema)}.outbox_attempts`, 2)
          yield* sql`DELETE FROM ${sql(schema)}.outbox WHERE status = 'delivered'`
          yield* sql`DELETE FROM ${sql(schema)}.outbox_attempts`
          yield* sql`DELETE FROM ${sql(schema)}.dedupe_keys`
          yield* sql`DELETE FROM ${sql(schema)}.inbox`
        }),
        workingElsewhere,
        { local: true }
      )
    }))

  it.effect("a worker cannot change an event, the log, the history or who did what, nor what the tables are", () =>
    Effect.provide(
      areRefused([
        `UPDATE ${schema}.outbox SET event_data = '{}'`,
        `UPDATE ${schema}.outbox SET event_type = 'another'`,
        // It may write entries, those of routes, but none that has been through anything.
        `INSERT INTO ${schema}.outbox (id, correlation_id, status) VALUES (gen_random_uuid(), gen_random_uuid(), 'delivered')`,
        `UPDATE ${schema}.agent_events SET event_data = '{}'`,
        `DELETE FROM ${schema}.agent_events`,
        `TRUNCATE ${schema}.agent_events`,
        `ALTER TABLE ${schema}.agent_events DISABLE TRIGGER ALL`,
        `UPDATE ${schema}.outbox_attempts SET outcome = 'failed'`,
        `UPDATE ${schema}.audit SET by = 'somebody else'`,
        `UPDATE ${schema}.inbox SET consumer_id = 'another'`,
        `UPDATE ${schema}.dedupe_keys SET entry_id = gen_random_uuid()`,
        `DELETE FROM ${schema}.audit`,
        `DELETE FROM ${schema}.subject_keys`,
        `DELETE FROM ${schema}.migrations`,
        `CREATE TABLE ${schema}.mine (a int)`
      ]),
      layerAs("worker"),
      { local: true }
    ))

  const written = ["outbox", "outbox_attempts", "agent_events", "inbox", "checkpoints", "parked_events", "projections"]
    .concat([
      "streams",
      "snapshots",
      "dedupe_keys",
      "flow",
      "audit",
      "tasks",
      "shadow_deliveries",
      "workers",
      "samples"
    ])

  it.effect("a reader reads, and neither writes nor sees the keys of personal data", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { dead } = yield* Effect.provide(OutboxOverview, OutboxOverview.layer)
      yield* dead(1)
      for (const table of written) yield* sql`SELECT count(*) FROM ${sql(schema)}.${sql(table)}`
      yield* areRefused([
        ...written.map((table) => `DELETE FROM ${schema}.${table}`),
        `SELECT key FROM ${schema}.subject_keys`,
        `SELECT subject FROM ${schema}.subject_keys`,
        `UPDATE ${schema}.outbox SET status = 'pending'`,
        `INSERT INTO ${schema}.outbox (id, correlation_id) VALUES (gen_random_uuid(), gen_random_uuid())`,
        `INSERT INTO ${schema}.agent_events (id) VALUES (gen_random_uuid())`,
        `UPDATE ${schema}.flow SET paused_at = now()`,
        `SELECT FROM ${schema}.outbox FOR UPDATE`
      ])
    }).pipe(Effect.provide(layerAs("reader"), { local: true })))

  it.effect("they are made as often as one likes, and lose what was granted beyond them", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`GRANT ALL ON ${sql(schema)}.outbox TO ${sql(`${schema}_reader`)}`
      yield* Effect.all([applyRoles, applyRoles], { concurrency: 2 })
      yield* Effect.provide(areRefused([`DELETE FROM ${schema}.outbox`]), layerAs("reader"), { local: true })
    }))

  it.effect("they come from the command: as a script, and applied; who may not make them is told so in one line", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const env = { OUTBOX_SCHEMA: schema }
      const printed = yield* run("roles", env)
      assert.strictEqual(printed.code, 0)
      assert.match(printed.stdout, new RegExp(`^BEGIN;[^]*GRANT USAGE ON SCHEMA "${schema}" TO [^]*COMMIT;\n$`))
      yield* sql.withTransaction(
        Effect.forEach(printed.stdout.split(/;\n(?!END)/).slice(1, -2), (statement) => sql.unsafe(statement))
      )
      const applied = yield* run("roles --apply", { ...env, DATABASE_URL: yield* TestDatabase.DatabaseUrl })
      assert.strictEqual(applied.code, 0, applied.stderr)
      assert.include(applied.stdout, `${schema}_emitter, ${schema}_worker and ${schema}_reader`)
      const refused = yield* run("roles --apply", { ...env, DATABASE_URL: yield* urlOf("worker") })
      assert.match(refused.stderr, /^zakops: .*_worker_login does not own the tables in schema .*\n$/)
      assert.strictEqual(refused.code, 1)
    }))
})
