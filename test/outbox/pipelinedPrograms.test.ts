/** Whatever a transaction does, it does and sees the same over either client: nothing that is sent later shows. Real time. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import type { EmitError } from "@zakops/outbox"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import type { Transaction } from "@zakops/outbox"
import * as PipelinedPgClient from "@zakops/outbox/PipelinedPgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { DealMade } from "../support/events.ts"
import { emptyBusiness, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

/** What a transaction does, one after another; in savepoints, which are kept or rolled back, as well. */
const Step = Schema.Literals(["change", "emit", "emit", "emit with a key", "emit three", "look"])
const savepoint = <S extends Schema.Top>(step: S) =>
  Schema.Struct({
    by: Schema.Literals(["transact", "withTransaction"]),
    steps: Schema.Array(step).check(Schema.isMaxLength(4)),
    end: Schema.Literals(["keep", "roll back"])
  })
const Inner = Schema.Union([Step, savepoint(Step)])
const Transacted = savepoint(Schema.Union([Inner, savepoint(Inner)]))
type AnyStep = typeof Step.Type | {
  readonly by: "transact" | "withTransaction"
  readonly steps: ReadonlyArray<AnyStep>
  readonly end: "keep" | "roll back"
}

type Given = Context.Context<Outbox | TransactionalPublisher | SqlClient>

class Both extends Context.Service<Both, { readonly plain: Given; readonly pipelined: Given }>()("Both") {
  static readonly layer = Layer.effect(
    Both,
    Effect.gen(function*() {
      const build = (client: typeof PgClient.layer) =>
        Layer.build(Layer.fresh(
          services().pipe(
            Layer.provideMerge(EventLog.layerPublisher),
            Layer.provideMerge(TestDatabase.layerClient({ maxConnections: 2 }, client))
          )
        ))
      return { plain: yield* build(PgClient.layer), pipelined: yield* build(PipelinedPgClient.layer) }
    })
  )
}

layer(Both.layer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(
  "any transaction",
  (it) => {
    it.effect.prop(
      "does and sees the same by either client",
      { program: Transacted },
      ({ program }) =>
        Effect.gen(function*() {
          const run = Effect.gen(function*() {
            const sql = yield* SqlClient
            const { transact } = yield* TransactionalPublisher
            const outbox = yield* Outbox
            yield* emptyBusiness
            const made = yield* DealMade.make({ dealId: "d", title: "t" })
            const log: Array<unknown> = []
            let n = 0
            const named = () => ({
              event: made,
              correlationId: `0190a8f2-0000-7000-8000-${String(n++).padStart(12, "0")}`
            })
            const emit = (options: { readonly orderingKey?: string } = {}) =>
              Effect.suspend(() => {
                const { event, ...emission } = named()
                return outbox.emit(event, { ...emission, ...options })
              })
            const does: Record<typeof Step.Type, Effect.Effect<unknown, EmitError, Transaction>> = {
              change: Effect.suspend(() => sql`INSERT INTO business VALUES (${String(n++)})`),
              emit: emit(),
              "emit with a key": emit({ orderingKey: "k" }),
              "emit three": Effect.suspend(() => outbox.emitAll([named(), named(), named()])),
              look: Effect.map(
                sql`SELECT correlation_id FROM zakops.outbox ORDER BY seq`,
                (rows) => log.push(rows.map((row) => row["correlation_id"]))
              )
            }
            const all = (
              { end, steps }: Omit<Exclude<AnyStep, string>, "by">
            ): Effect.Effect<unknown, EmitError | "rolled back", Transaction> =>
              Effect.andThen(
                Effect.forEach(steps, (step) => {
                  if (typeof step === "string") return does[step]
                  return Effect.ignore(step.by === "transact" ? transact(all(step)) : sql.withTransaction(all(step)))
                }),
                end === "keep" ? Effect.void : Effect.fail("rolled back" as const)
              )
            const exit = yield* Effect.exit(transact(all(program)))
            const rows = yield* sql`SELECT correlation_id, ordering_key FROM zakops.outbox ORDER BY seq`
            return { exit, log, rows, changes: yield* sql`SELECT name FROM business ORDER BY name` }
          })
          const { pipelined, plain } = yield* Both
          const expected = yield* Effect.provideContext(run, plain)
          assert.deepStrictEqual(yield* Effect.provideContext(run, pipelined), expected)
        }),
      { arbitrary: { runs: 60 } }
    )
  }
)
