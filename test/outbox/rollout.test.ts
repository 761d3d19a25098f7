/** Moving types to the outbox one by one: direct, shadow, outbox, and what the comparison shows. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { Transient, TransportDown } from "@zakops/events/EventPublisher"
import type { Finding } from "@zakops/outbox/RolloutReport"
import { Outbox, OutboxProcessor, RolloutReport, TransactionalPublisher } from "@zakops/outbox"
import type { EmitOptions, Modes } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emptyTables, entries, entry, eventually, loggedIds, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const payload = Schema.Struct({ text: Schema.String, n: Schema.Int, b: Schema.optionalKey(Schema.Unknown) })
const make = <const Type extends string>(type: Type) =>
  EventDefinition.make(type, { aggregateType: "deal", payload, delivery: { orderBy: "correlation" } })
type Definition = EventDefinition.EventDefinition<string, "deal", typeof payload.Type>

const Direct = make("direct")
const Shadow = make("shadow")
const Queued = make("queued")

const modes: Modes = { direct: "direct", shadow: "shadow" }

const layerReport = RolloutReport.layer
const layerOver = (settings: Parameters<typeof services>[0]) =>
  Layer.merge(layerReport, EventStore.layer).pipe(Layer.provideMerge(services(settings)))

const data = { text: "ü", n: 1, b: { z: [1, 2.5, 1e21], a: null } }

const setUp = Effect.gen(function*() {
  yield* emptyTables
  const outbox = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  const { drain } = yield* OutboxProcessor
  const { report } = yield* RolloutReport
  const sql = yield* SqlClient
  const correlationId = randomUUID()
  const emission = (definition: Definition, options: Partial<EmitOptions> = {}) =>
    Effect.map(
      definition.make(data, { aggregateId: "7" }),
      (event) => ({ event, correlationId, headers: { b: "2", a: "1" }, traceId: "ab".repeat(16), ...options })
    )
  const emit = (definition: Definition, options: Partial<EmitOptions> = {}) =>
    Effect.flatMap(emission(definition, options), ({ event, ...given }) => outbox.emit(event, given))
  /** How many rows there are of what was published directly: for an external destination they are written by another fiber. */
  const recorded = (count: number) =>
    eventually(Effect.map(
      sql`SELECT 1 FROM zakops.shadow_deliveries WHERE path = 'direct'`,
      (rows) => rows.length === count
    ))
  /** What there is but nothing, and the first ids of it. */
  const findings = Effect.map(report(), (reports) =>
    reports.map(({ eventType, firstIds, ...counts }) => ({
      eventType,
      counts: Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
      firstIds
    })))
  const only = (finding: Finding, ids: ReadonlyArray<string>) => [
    {
      eventType: "shadow",
      counts: { [finding]: ids.length },
      firstIds: finding === "matched" ? {} : { [finding]: ids.slice(0, 5) }
    }
  ]
  return { drain, emission, emit, findings, only, outbox, recorded, report, sql, transact }
})

const ToLog = layerOver({ modes }).pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(ToLog, { excludeTestServices: true })("with a destination in the same database", (it) => {
  it.effect("each type goes its way, in one emitAll too, and the ids come back in order", () =>
    Effect.gen(function*() {
      const { drain, emission, outbox, transact } = yield* setUp
      const ids = yield* transact(Effect.flatMap(
        Effect.all([emission(Queued), emission(Shadow), emission(Direct), emission(Shadow), emission(Queued)]),
        outbox.emitAll
      ))
      const [q1 = "", s1 = "", d1 = "", s2 = "", q2 = ""] = ids
      assert.deepStrictEqual(yield* loggedIds, [s1, d1, s2])
      assert.sameMembers((yield* entries).map(({ id }) => id), [q1, q2, s1, s2])
      assert.strictEqual((yield* drain).delivered, 4)
      assert.deepStrictEqual(yield* loggedIds, [s1, d1, s2, q1, q2])
    }))

  it.effect("what is in shadow mode goes both ways with the same content, and leaves nothing when it is rolled back", () =>
    Effect.gen(function*() {
      const { drain, emit, findings, only, sql, transact } = yield* setUp
      yield* Effect.ignore(transact(Effect.andThen(emit(Shadow), Effect.fail("no"))))
      const ids = yield* Effect.forEach(Array.from({ length: 7 }), () => transact(emit(Shadow)))
      assert.deepStrictEqual(yield* findings, only("waiting", ids))
      assert.strictEqual((yield* drain).delivered, 7)
      assert.deepStrictEqual(yield* findings, only("matched", ids))
      assert.deepStrictEqual(yield* loggedIds, ids)
      // A copy that comes a second time changes nothing.
      yield* sql`UPDATE zakops.outbox SET status = 'pending', delivered_at = NULL`
      yield* drain
      assert.deepStrictEqual(yield* findings, only("matched", ids))
    }))

  it.effect("a copy never reaches the destination, alone or in a batch whose entries have to be told apart", () =>
    Effect.gen(function*() {
      const { drain, emit, findings, only, sql, transact } = yield* setUp
      const copy = Effect.map(
        sql<{ id: string }>`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, shadow)
          VALUES (gen_random_uuid(), gen_random_uuid(), 'shadow', '{}', true) RETURNING id`,
        ([row]) => row?.id ?? ""
      )
      const first = yield* copy
      assert.strictEqual((yield* drain).delivered, 1)
      const second = yield* copy
      const bad = yield* transact(emit(Queued))
      const good = yield* transact(emit(Queued, { orderingKey: null }))
      const constraint = sql.literal("bad_one")
      yield* sql`ALTER TABLE zakops.agent_events ADD CONSTRAINT ${constraint} CHECK (id <> ${sql.literal(`'${bad}'`)})`
      yield* Effect.ensuring(drain, Effect.orDie(sql`ALTER TABLE zakops.agent_events DROP CONSTRAINT ${constraint}`))
      assert.deepStrictEqual(yield* loggedIds, [good])
      assert.deepStrictEqual(yield* findings, only("onlyOutbox", [first, second]))
    }))

  it.effect("a copy that another program has changed, or lost, or that is dead, shows", () =>
    Effect.gen(function*() {
      const { drain, emit, report, sql, transact } = yield* setUp
      const [same, changed = "", headers = "", lost = "", dead = ""] = yield* transact(
        Effect.all([emit(Shadow), emit(Shadow), emit(Shadow), emit(Shadow), emit(Shadow)])
      )
      yield* sql`UPDATE zakops.outbox SET event_data = event_data || '{"n": 2}' WHERE id = ${changed}::uuid`
      yield* sql`UPDATE zakops.outbox SET headers = '{}' WHERE id = ${headers}::uuid`
      yield* sql`DELETE FROM zakops.outbox WHERE id = ${lost}::uuid`
      yield* sql`UPDATE zakops.outbox SET status = 'dead' WHERE id = ${dead}::uuid`
      yield* drain
      const [found] = yield* report()
      assert.deepInclude(found, { matched: 1, different: 2, onlyDirect: 1, dead: 1, onlyOutbox: 0, waiting: 0 })
      assert.deepStrictEqual(found?.firstIds, { different: [changed, headers], onlyDirect: [lost], dead: [dead] })
      assert.isFalse(JSON.stringify(found).includes(same))
    }))

  it.effect("a copy that cannot be written does not fail the caller", () =>
    Effect.gen(function*() {
      const { emit, findings, only, sql, transact } = yield* setUp
      yield* sql`ALTER TABLE zakops.outbox ADD CONSTRAINT nothing_new CHECK (event_type <> 'shadow') NOT VALID`
      const id = yield* transact(emit(Shadow)).pipe(
        Effect.ensuring(Effect.orDie(sql`ALTER TABLE zakops.outbox DROP CONSTRAINT nothing_new`))
      )
      assert.deepStrictEqual(yield* loggedIds, [id])
      assert.deepStrictEqual(yield* findings, only("onlyDirect", [id]))
    }))

  it.effect("what a deduplication key leaves out of the outbox is published, and not compared", () =>
    Effect.gen(function*() {
      const { drain, emit, findings, only, transact } = yield* setUp
      const first = yield* transact(emit(Shadow, { dedupeKey: "k" }))
      const second = yield* transact(emit(Shadow, { dedupeKey: "k" }))
      assert.deepStrictEqual(yield* loggedIds, [first, second])
      yield* drain
      assert.deepStrictEqual(yield* findings, only("matched", [first]))
    }))

  it.effect("the report covers the time that is asked for", () =>
    Effect.gen(function*() {
      const { drain, emit, report, sql, transact } = yield* setUp
      const [early = "", late] = yield* transact(Effect.all([emit(Shadow), emit(Shadow)]))
      yield* drain
      yield* sql`UPDATE zakops.shadow_deliveries SET at = at - interval '1 day' WHERE event_id = ${early}::uuid`
      const hourAgo = new Date(Date.now() - 3_600_000)
      assert.deepInclude((yield* report({ since: hourAgo }))[0], { matched: 1 })
      assert.deepInclude((yield* report({ until: hourAgo }))[0], { matched: 1 })
      assert.deepInclude((yield* report())[0], { matched: 2 })
      assert.deepStrictEqual(yield* report({ until: new Date(0) }), [])
      assert.isString(late)
    }))

  it.effect("what the event store decides is in the log at once, in any mode; the copy is compared with it", () =>
    Effect.gen(function*() {
      const { drain, findings, only } = yield* setUp
      const { write } = yield* EventStore
      const stream = { aggregateType: "deal", aggregateId: randomUUID() }
      const events = yield* Effect.all([Shadow.make(data), Direct.make(data), Queued.make(data), Shadow.make(data)])
      const { ids } = yield* write(stream, "noStream", events)
      const [s1 = "", , q1 = "", s2 = ""] = ids
      assert.deepStrictEqual((yield* entries).map(({ id }) => id), [s1, q1, s2])
      assert.deepStrictEqual(yield* loggedIds, ids)
      assert.strictEqual((yield* drain).delivered, 3)
      assert.deepStrictEqual(yield* loggedIds, ids)
      assert.deepStrictEqual(yield* findings, only("matched", [s1, s2]))
    }))
})

const Elsewhere = layerOver({ modes }).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Elsewhere, { excludeTestServices: true })("with an external destination", (it) => {
  const setUpFake = Effect.gen(function*() {
    const fake = yield* FakePublisher
    fake.calls.length = 0
    fake.respond = () => Effect.void
    return { fake, ...(yield* setUp) }
  })

  it.effect("what is in shadow mode is published once, directly, and its copy is compared", () =>
    Effect.gen(function*() {
      const { drain, emit, fake, findings, only, recorded, transact } = yield* setUpFake
      const id = yield* transact(emit(Shadow))
      const direct = yield* transact(emit(Direct))
      const queued = yield* transact(emit(Queued))
      assert.deepStrictEqual(fake.calls.map((call) => call.id), [id, direct])
      yield* recorded(1)
      assert.deepStrictEqual(yield* findings, only("waiting", [id]))
      assert.strictEqual((yield* drain).delivered, 2)
      assert.deepStrictEqual(fake.calls.map((call) => call.id), [id, direct, queued])
      assert.deepStrictEqual(yield* findings, only("matched", [id]))
    }))

  it.effect("a ghost shows: published, and then rolled back", () =>
    Effect.gen(function*() {
      const { drain, emit, fake, findings, only, recorded, transact } = yield* setUpFake
      yield* Effect.ignore(transact(Effect.andThen(emit(Shadow), Effect.fail("no"))))
      yield* recorded(1)
      assert.strictEqual((yield* drain).delivered, 0)
      assert.deepStrictEqual(yield* findings, only("onlyDirect", [fake.calls[0]?.id ?? ""]))
    }))

  it.effect("a direct publish that fails is the caller's error; the copy shows that the outbox has it, if it was committed", () =>
    Effect.gen(function*() {
      const { drain, emit, fake, findings, recorded, sql, transact } = yield* setUpFake
      for (const respond of [() => Effect.fail(new Transient({ reason: "busy" })), () => Effect.die("boom")]) {
        fake.respond = respond
        yield* Effect.exit(transact(emit(Shadow)))
      }
      fake.respond = () => Effect.fail(new TransportDown({ reason: "away" }))
      assert.deepInclude(yield* Effect.flip(transact(emit(Shadow))), { _tag: "TransportDown" })
      yield* transact(Effect.ignore(emit(Shadow)))
      yield* recorded(4)
      yield* drain
      const [neither1 = "", neither2 = "", neither3 = "", copied = ""] = fake.calls.map((call) => call.id)
      assert.deepStrictEqual(yield* findings, [{
        eventType: "shadow",
        counts: { onlyOutbox: 1, neither: 3 },
        firstIds: { onlyOutbox: [copied], neither: [neither1, neither2, neither3] }
      }])
      const errors = yield* sql<{ error: string }>`SELECT error FROM zakops.shadow_deliveries WHERE path = 'direct'
        ORDER BY at, error`
      assert.match(errors.map(({ error }) => error).join(), /away.*boom|boom.*away/s)
    }))

  it.effect("a second try with the same id counts, and what was published stays published", () =>
    Effect.gen(function*() {
      const { drain, emit, fake, findings, only, recorded, sql, transact } = yield* setUpFake
      const id = randomUUID()
      const fail = () => Effect.fail(new Transient({ reason: "busy" }))
      fake.respond = fail
      yield* Effect.ignore(transact(emit(Shadow, { id })))
      yield* recorded(1)
      fake.respond = () => Effect.void
      yield* transact(emit(Shadow, { id }))
      yield* eventually(Effect.map(
        sql`SELECT 1 FROM zakops.shadow_deliveries WHERE error IS NULL`,
        (rows) => rows.length === 1
      ))
      fake.respond = fail
      yield* Effect.ignore(transact(emit(Shadow, { id })))
      yield* drain
      assert.deepStrictEqual(yield* findings, only("matched", [id]))
    }))

  it.effect("a changed copy shows, and one that the comparison refuses is tried again and blames nobody", () =>
    Effect.gen(function*() {
      const { drain, emit, fake, findings, only, recorded, sql, transact } = yield* setUpFake
      const id = yield* transact(emit(Shadow))
      yield* recorded(1)
      yield* sql`UPDATE zakops.outbox SET event_data = event_data || '{"text": "u"}'`
      yield* sql`ALTER TABLE zakops.shadow_deliveries ADD CONSTRAINT refused CHECK (path <> 'outbox')`
      yield* Effect.ensuring(drain, Effect.orDie(sql`ALTER TABLE zakops.shadow_deliveries DROP CONSTRAINT refused`))
      assert.deepInclude(yield* entry(id), { status: "pending", attempts: 1 })
      yield* sql`UPDATE zakops.outbox SET next_attempt_at = NULL`
      assert.strictEqual((yield* drain).delivered, 1)
      assert.deepStrictEqual(yield* findings, only("different", [id]))
      assert.lengthOf(fake.calls, 1)
    }))

  it.effect("callers that hold all connections do not wait for another one", () =>
    Effect.gen(function*() {
      const { drain, emit, findings, only, recorded, transact } = yield* setUpFake
      const ids = yield* Effect.forEach(
        Array.from({ length: 100 }),
        () => transact(emit(Shadow, { orderingKey: null })),
        { concurrency: "unbounded" }
      )
      yield* recorded(100)
      yield* drain
      assert.deepStrictEqual((yield* findings)[0]?.counts, only("matched", ids)[0]?.counts)
    }))

  it.effect("what the event store decides is published directly as well", () =>
    Effect.gen(function*() {
      const { drain, fake, findings, only, recorded } = yield* setUpFake
      const { write } = yield* EventStore
      const stream = { aggregateType: "deal", aggregateId: randomUUID() }
      const { ids } = yield* write(stream, "noStream", [yield* Shadow.make(data), yield* Queued.make(data)])
      const [shadow = "", queued] = ids
      assert.deepStrictEqual(fake.calls.map((call) => call.id), [shadow])
      yield* recorded(1)
      yield* drain
      assert.deepStrictEqual(fake.calls.map((call) => call.id), [shadow, queued])
      assert.deepStrictEqual(yield* findings, only("matched", [shadow]))
    }))
})

const SwitchedOff = layerOver({ enabled: false, modes: { "*": "shadow", queued: "outbox" } }).pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(SwitchedOff, { excludeTestServices: true })("OUTBOX_ENABLED=false", (it) => {
  it.effect("publishes all types directly, whatever their mode, and compares nothing", () =>
    Effect.gen(function*() {
      const { emit, findings, transact } = yield* setUp
      const ids = yield* transact(Effect.all([emit(Direct), emit(Shadow), emit(Queued)]))
      assert.deepStrictEqual(yield* loggedIds, ids)
      assert.deepStrictEqual(yield* entries, [])
      assert.deepStrictEqual(yield* findings, [])
    }))
})
