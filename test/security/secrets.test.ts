/** Nothing of a payload, a header or a password reaches a log line or an error, however something fails. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as Subscription from "@zakops/event-store/Subscription"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { Permanent, Transient } from "@zakops/events/EventPublisher"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { OutboxProcessor, OutboxWriter } from "@zakops/outbox"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { inspect } from "node:util"
import { FakePublisher } from "../support/FakePublisher.ts"
import { services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const secret = "hunter2-tr0ub4dor"

/** All that is said, in log lines of any level and in errors, as the common loggers write it. */
const heard: Array<string> = []
const listening = Layer.mergeAll(
  Logger.layer([Logger.make((options) => {
    heard.push(Logger.formatLogFmt.log(options), inspect(Logger.formatStructured.log(options), { depth: 20 }))
  })]),
  Layer.succeed(References.MinimumLogLevel, "All")
)

/** Runs `self`, which is to fail, and hears how; gives what it said. */
const failing = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(Effect.tapCause(self, (cause) => Effect.logError("failed", cause)))
    assert.isTrue(Exit.isFailure(exit))
    if (Exit.isFailure(exit)) heard.push(Cause.pretty(exit.cause), String(Cause.squash(exit.cause)))
  })

const holdsNoSecret = (atLeast: string) => {
  const said = heard.splice(0)
  assert.isTrue(said.some((line) => line.includes(atLeast)), `nothing was heard of ${atLeast}: ${said.join("\n")}`)
  for (const line of said) assert.notInclude(line, secret)
}

const Signed = EventDefinition.make("signed", {
  payload: Schema.Struct({ token: Schema.String, amount: Schema.Int, state: Schema.Literals(["open", "shut"]) })
})
class MailServerGone extends Data.TaggedError("MailServerGone")<{ readonly message: string }> {}

const headers = { authorization: `Bearer ${secret}` }
const payload = { token: secret, amount: 1, state: "open" } as const
const correlationId = randomUUID()

const Live = services().pipe(
  Layer.provideMerge(Layer.mergeAll(EventLog.layerPublisher, InboxGuard.layer)),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(listening)
)

layer(Live, { excludeTestServices: true })("a secret stays one", (it) => {
  const write = Effect.gen(function*() {
    const { write } = yield* OutboxWriter
    return yield* write(yield* Signed.make(payload), { correlationId, headers })
  })

  it.effect("when an event is refused", () =>
    Effect.gen(function*() {
      const { write } = yield* OutboxWriter
      const made = yield* Signed.make(payload)
      yield* failing(Signed.make({ token: "t", amount: secret, state: "open" } as unknown as typeof payload))
      yield* failing(Signed.make({ token: "t", amount: 1, state: secret } as unknown as typeof payload))
      yield* failing(Signed.make({ ...payload, token: `${secret}\u0000` }))
      yield* failing(write(made, { correlationId, headers: { ...headers, other: `${secret}\ud800` } }))
      yield* failing(write({ ...made, json: `{"token":"${secret}"` }, { correlationId }))
      yield* failing(write({ ...made, json: `{"token":"${secret}\\u0000"}` }, { correlationId }))
      const id = randomUUID()
      yield* write(made, { correlationId, headers, id })
      yield* failing(write(made, { correlationId, headers, id }))
      holdsNoSecret("signed")
    }))

  it.effect("when the log refuses the event, and it dies", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { drain } = yield* OutboxProcessor
      yield* sql`ALTER TABLE zakops.agent_events ADD CONSTRAINT no_more CHECK (event_type <> 'signed') NOT VALID`
      const { write } = yield* OutboxWriter
      yield* write(yield* Signed.make(payload), { correlationId, headers, maxAttempts: 1 })
      yield* drain
      yield* sql`ALTER TABLE zakops.agent_events DROP CONSTRAINT no_more`
      heard.push(...(yield* sql<{ error: string }>`SELECT error FROM zakops.outbox_attempts`).map(({ error }) => error))
      holdsNoSecret("is dead")
    }))

  it.effect("when a publisher fails, dies, or refuses for ever", () =>
    Effect.gen(function*() {
      yield* write
      const sql = yield* SqlClient
      yield* Effect.gen(function*() {
        const fake = yield* FakePublisher
        const { runOnce } = yield* OutboxProcessor
        const answers = [
          Effect.fail(new Transient({ reason: "503" })),
          Effect.die(new Error("boom")),
          Effect.fail(new Permanent({ reason: "404" }))
        ]
        fake.respond = () => answers.pop() ?? Effect.void
        yield* write
        yield* write
        yield* runOnce
      }).pipe(Effect.provide(services().pipe(Layer.provideMerge(FakePublisher.layer)), { local: true }))
      heard.push(...(yield* sql<{ error: string }>`SELECT error FROM zakops.outbox_attempts`).map(({ error }) => error))
      holdsNoSecret("boom")
    }))

  it.effect("when a consumer cannot decode it, or its handler fails", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { drain } = yield* OutboxProcessor
      yield* write
      yield* drain
      const consuming = (consumerId: string, handle: () => Effect.Effect<void, MailServerGone>) =>
        Effect.flatMap(Subscription.make(consumerId), (source) =>
          Consumer.run({
            consumerId,
            source,
            handlers: [Consumer.on(Signed, handle)],
            retry: Schedule.recurs(1)
          }))
      yield* failing(
        consuming("failing", () => Effect.fail(new MailServerGone({ message: "the mail server is gone" })))
      )
      holdsNoSecret("the mail server is gone")
      const id = randomUUID()
      for (const json of [{ ...payload, amount: secret }, { ...payload, state: secret }, secret, [secret]]) {
        yield* sql`TRUNCATE zakops.outbox`
        yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, headers)
          VALUES (${randomUUID()}, ${id}, 'signed', ${JSON.stringify(json)}::jsonb, ${JSON.stringify(headers)}::jsonb)`
        yield* drain
        yield* failing(consuming(`decoding ${inspect(json).length}`, () => Effect.void))
        holdsNoSecret("cannot be decoded")
      }
    }))

  it.effect("when it is the database's password, and the database cannot be reached", () =>
    Effect.gen(function*() {
      const url = new URL(yield* TestDatabase.DatabaseUrl)
      url.password = secret
      const wrongPort = new URL(url)
      wrongPort.port = "1"
      const urls = [
        url.toString(),
        wrongPort.toString(),
        `postgres://u:${secret}%ZZ@127.0.0.1:1/d`,
        `mysql://u:${secret}@h/d`
      ]
      for (const one of urls) {
        const connect = Effect.flatMap(SqlClient, (sql) => sql`SELECT 1`).pipe(
          Effect.provide(PgClient.layer({ url: Redacted.make(one), maxConnections: 1 }), { local: true })
        )
        yield* failing(connect)
      }
      holdsNoSecret("PgConnection")
    }))
})
