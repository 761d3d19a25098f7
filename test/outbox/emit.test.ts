/** Business change and event commit together, or not at all. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EmitError } from "@zakops/outbox"
import { Outbox, OutboxWriter, Transaction, TransactionalPublisher } from "@zakops/outbox"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Statement from "effect/sql/Statement"
import { Tracer } from "effect/Tracer"
import { randomUUID } from "node:crypto"
import { DealMade } from "../support/events.ts"
import { emitDeals, emptyBusiness, emptyTables, entries, services } from "../support/outbox.ts"
import { recordingTracer } from "../support/recordingTracer.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Loose = EventDefinition.make("loose", { payload: Schema.Unknown })

const over = (client: typeof PgClient.layer) =>
  services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layerOver(client)))

for (const [name, client] of TestDatabase.clients) {
  layer(over(client), { excludeTestServices: true })(`emitting by ${name}`, (it) => {
    const setUp = Effect.gen(function*() {
      yield* emptyBusiness
      const sql = yield* PgClient.PgClient
      const change = (name: string) => sql`INSERT INTO business VALUES (${name})`
      const changes = Effect.map(
        sql<{ name: string }>`SELECT name FROM business`,
        (rows) => rows.map((row) => row.name)
      )
      return { sql, change, changes, ...(yield* TransactionalPublisher), outbox: yield* Outbox }
    })
    const event = DealMade.make({ dealId: "d", title: "t" })
    const correlationId = "0190a8f2-0000-7000-8000-000000000001"

    it.effect("commits with the business change", () =>
      Effect.gen(function*() {
        const { change, changes, outbox, transact } = yield* setUp
        const id = yield* transact(Effect.andThen(
          change("a"),
          Effect.flatMap(event, (made) => outbox.emit(made, { correlationId }))
        ))
        assert.deepStrictEqual((yield* entries).map((row) => row.id), [id])
        assert.deepStrictEqual(yield* changes, ["a"])
      }))

    it.effect("is rolled back with it, whether it fails, dies or is interrupted", () =>
      Effect.gen(function*() {
        const { change, changes, outbox, transact } = yield* setUp
        for (const end of [Effect.fail("no"), Effect.die("boom"), Effect.interrupt]) {
          const exit = yield* Effect.exit(transact(Effect.all([
            change("a"),
            Effect.flatMap(event, (made) => outbox.emit(made, { correlationId })),
            end
          ])))
          assert.isTrue(Exit.isFailure(exit))
        }
        assert.deepStrictEqual(yield* entries, [])
        assert.deepStrictEqual(yield* changes, [])
      }))

    it.effect("is rolled back with a savepoint, and what was emitted around it is not", () =>
      Effect.gen(function*() {
        const { transact } = yield* setUp
        const [before, after] = yield* transact(Effect.all([
          emitDeals(1),
          emitDeals(1),
          Effect.ignore(transact(Effect.andThen(emitDeals(3), Effect.fail("no"))))
        ]))
        assert.deepStrictEqual((yield* entries).map((row) => row.id), [...before, ...after])
      }))

    it.effect("is seen by who transforms all statements of the program", () =>
      Effect.gen(function*() {
        const { outbox, transact } = yield* setUp
        const made = yield* event
        let seen = 0
        const countInserts = (statement: Statement.Statement<unknown>) =>
          Effect.sync(() => {
            if (statement.compile()[0].includes(`INSERT INTO "zakops"."outbox"`)) seen++
            return statement
          })
        yield* transact(Effect.gen(function*() {
          yield* outbox.emit(made, { correlationId })
          yield* outbox.emit(made, { correlationId, orderingKey: "k" })
          yield* outbox.emitAll([{ event: made, correlationId }, { event: made, correlationId }])
        })).pipe(Effect.provideService(Statement.CurrentTransformer, countInserts))
        assert.strictEqual(seen, 3)
        assert.lengthOf(yield* entries, 4)
      }))

    it.effect("joins the transaction that somebody else has opened, and says so where there is none", () =>
      Effect.gen(function*() {
        const { join, outbox, sql } = yield* setUp
        const emit = Effect.flatMap(event, (made) => outbox.emit(made, { correlationId }))
        assert.strictEqual((yield* Effect.flip(join(emit)))._tag, "NoTransaction")
        yield* sql.withTransaction(join(emit))
        yield* Effect.ignore(sql.withTransaction(Effect.andThen(join(emit), Effect.fail("no"))))
        assert.lengthOf(yield* entries, 1)
      }))

    it.effect("dies rather than write on its own when its transaction has ended, or is not the open one", () =>
      Effect.gen(function*() {
        const { outbox, sql, transact } = yield* setUp
        const made = yield* event
        const emit = outbox.emit(made, { correlationId })
        const ended = yield* transact(Transaction.pipe(Effect.map((transaction) => transaction)))
        const leaked = Effect.provideService(emit, Transaction, ended)
        const exits = [
          yield* Effect.exit(leaked),
          yield* Effect.exit(sql.withTransaction(leaked)),
          yield* Effect.exit(transact(Effect.flatMap(Transaction, (open) =>
            // A fiber that is outside of the transaction, with the right to emit in its pocket.
            Effect.promise(() => Effect.runPromise(Effect.provideService(emit, Transaction, open))))))
        ]
        for (const exit of exits) assert.isTrue(Exit.hasDies(exit))
        assert.deepStrictEqual(yield* entries, [])

        const mayGoOn = yield* Deferred.make<void>()
        const late = yield* transact(Effect.forkDetach(Effect.andThen(Deferred.await(mayGoOn), emit)))
        yield* Deferred.succeed(mayGoOn, void 0)
        assert.isTrue(Exit.hasDies(yield* Fiber.await(late)))
        assert.deepStrictEqual(yield* entries, [])
      }))

    it.effect("keeps the order of many events, in as many statements as they need", () =>
      Effect.gen(function*() {
        yield* setUp
        const ids = yield* emitDeals(2500)
        assert.deepStrictEqual((yield* entries).map((row) => row.id), ids)
      }))

    it.effect("writes every field, due now by the database's clock", () =>
      Effect.gen(function*() {
        const { outbox, sql, transact } = yield* setUp
        const made = yield* DealMade.make({ dealId: "d", title: "ü \"\\" })
        const options = { correlationId, headers: { a: "b" }, maxAttempts: 7 }
        const one = yield* transact(outbox.emit(made, options))
        const [two] = yield* transact(outbox.emitAll([{ event: made, ...options }, { event: made, correlationId }]))
        const rows =
          yield* sql`SELECT id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, status,
          attempts, max_attempts, headers, next_attempt_at = created_at AS due, created_at BETWEEN now() - interval '1 min' AND now() AS now
        FROM zakops.outbox ORDER BY seq LIMIT 2`
        const row = {
          correlation_id: correlationId,
          aggregate_type: "deal",
          aggregate_id: "d",
          event_type: "deal.made",
          schema_version: 1,
          event_data: { dealId: "d", title: "ü \"\\" },
          status: "pending",
          attempts: 0,
          max_attempts: 7,
          headers: { a: "b" },
          due: true,
          now: true
        }
        assert.deepStrictEqual(rows, [{ id: one, ...row }, { id: two, ...row }])
      }))

    it.effect("keeps what a single one of many has of its own, and fails for one id twice", () =>
      Effect.gen(function*() {
        const { outbox, sql, transact } = yield* setUp
        const made = yield* event
        const id = randomUUID()
        const same = { event: made, correlationId }
        const others = [
          { ...same, headers: { a: "b" } },
          { ...same, maxAttempts: 9 },
          { ...same, orderingKey: "k" },
          { ...same, delay: "1 hour" as const },
          { ...same, traceId: id },
          { ...same, correlationId: id, event: yield* DealMade.make({ dealId: "e", title: "another" }) }
        ]
        const many = Array.from({ length: 150 }, () => same)
        for (const other of others) {
          const columns = () =>
            sql`SELECT correlation_id, aggregate_id, event_data, headers, max_attempts, ordering_key, trace_id,
                next_attempt_at > created_at AS later, count(*)::int
              FROM zakops.outbox GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY count(*), headers`
          yield* emptyTables
          yield* transact(Effect.andThen(outbox.emitAll(many), outbox.emitAll([other])))
          const apart = yield* columns()
          yield* emptyTables
          yield* transact(outbox.emitAll([...many.slice(1), other, same]))
          assert.deepStrictEqual(yield* columns(), apart)
          assert.deepStrictEqual(apart.map((row) => row["count"]), [1, 150])
        }
        const twice = yield* Effect.flip(transact(outbox.emitAll(many.map(() => ({ event: made, correlationId, id })))))
        assert.strictEqual(twice._tag === "SqlError" ? twice.reason._tag : twice._tag, "UniqueViolation")
      }))

    it.effect("stores the trace id of the current span where a tracer records it, unless one is given", () =>
      Effect.gen(function*() {
        const { outbox, sql, transact } = yield* setUp
        const made = yield* event
        const given = "0190a8f2-0000-7000-8000-0000000000ff"
        const span = yield* Effect.withSpan(
          Effect.andThen(
            transact(outbox.emitAll([{ event: made, correlationId }, { event: made, correlationId, traceId: given }])),
            Effect.currentSpan
          ),
          "request"
        ).pipe(Effect.provideService(Tracer, recordingTracer().tracer))
        const rows = yield* sql<{ trace_id: string }>`SELECT trace_id FROM zakops.outbox ORDER BY seq`
        assert.deepStrictEqual(
          rows.map((row) => row.trace_id.replaceAll("-", "")),
          [
            span.traceId,
            given.replaceAll("-", "")
          ]
        )
      }))

    it.effect("refuses what cannot be written before it writes anything, and leaves the transaction as it was", () =>
      Effect.gen(function*() {
        const { change, changes, outbox, transact } = yield* setUp
        const made = yield* event
        const emission = { event: made, correlationId }
        const refused = [
          [
            "data.title",
            Effect.flatMap(DealMade.make(JSON.parse(`{"dealId":"d"}`)), (bad) => outbox.emit(bad, emission))
          ],
          ["data", Effect.flatMap(Loose.make(NaN), (bad) => outbox.emit(bad, emission))],
          ["data.a", Effect.flatMap(Loose.make({ a: "\u0000" }), (bad) => outbox.emit(bad, emission))],
          ["data", Effect.flatMap(Loose.make("x".repeat(1_048_576)), (bad) => outbox.emit(bad, emission))],
          ["type", outbox.emit({ ...made, type: "x".repeat(101) }, emission)],
          ["correlationId", outbox.emit(made, { correlationId: "deal-123" })],
          ["id", outbox.emitAll([emission, emission, { ...emission, id: "1" }])]
        ] as const
        for (const [field, emit] of refused) {
          yield* transact(Effect.gen(function*() {
            yield* change("before")
            const error = yield* Effect.flip(emit as Effect.Effect<unknown, EmitError, Transaction>)
            assert.deepInclude(error, { _tag: "InvalidEvent", field })
            yield* change("after")
            yield* outbox.emit(made, emission)
          }))
        }
        assert.lengthOf(yield* entries, refused.length)
        assert.lengthOf(yield* changes, refused.length * 2)
      }))
  })
}

for (const [name, client] of TestDatabase.clients) {
  layer(over(client), { excludeTestServices: true })(`the writer, by ${name}`, (it) => {
    it.effect("commits on its own, whatever the transaction around it does", () =>
      Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const writer = yield* OutboxWriter
        const made = yield* DealMade.make({ dealId: "d", title: "t" })
        const emission = { event: made, correlationId: randomUUID() }
        const id = yield* writer.write(made, emission)
        yield* Effect.ignore(sql.withTransaction(Effect.andThen(writer.write(made, emission), Effect.fail("no"))))
        const rows = yield* entries
        assert.lengthOf(rows, 2)
        assert.strictEqual(rows[0]?.id, id)
      }))

    it.effect("writes all of many events, or none", () =>
      Effect.gen(function*() {
        yield* emptyTables
        const { writeAll } = yield* OutboxWriter
        const made = yield* DealMade.make({ dealId: "d", title: "t" })
        const emission = { event: made, correlationId: randomUUID() }
        const same = randomUUID()
        const error = yield* Effect.flip(writeAll([emission, { ...emission, id: same }, { ...emission, id: same }]))
        assert.strictEqual(error._tag, "SqlError")
        assert.deepStrictEqual(yield* entries, [])
        assert.lengthOf(yield* writeAll([emission, emission]), 2)
        assert.lengthOf(yield* entries, 2)
      }))
  })
}
