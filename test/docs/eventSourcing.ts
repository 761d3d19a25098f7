/** The examples of docs/event-sourcing.md. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Decider from "@zakops/event-store/Decider"
import { EventStore } from "@zakops/event-store/EventStore"
import { EventStoreLive, EventStoreLiveWith } from "@zakops/event-store/EventStoreLive"
import * as PostgresSubjectKeys from "@zakops/event-store/PostgresSubjectKeys"
import * as Projection from "@zakops/event-store/Projection"
import { run } from "@zakops/event-store/runProjection"
import * as Subscription from "@zakops/event-store/Subscription"
import * as DeciderSpecification from "@zakops/event-store/testing/DeciderSpecification"
import * as ProjectionSpecification from "@zakops/event-store/testing/ProjectionSpecification"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Personal from "@zakops/events/Personal"
import { SubjectKeys } from "@zakops/events/SubjectKeys"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

export const Opened = EventDefinition.make("account.opened", {
  aggregateType: "account",
  payload: Schema.Struct({ owner: Schema.String })
})
export const Paid = EventDefinition.make("account.paid", {
  aggregateType: "account",
  payload: Schema.Struct({ amount: Schema.Int })
})

export class TooLittle extends Schema.TaggedError<TooLittle>()("TooLittle", { balance: Schema.Int }) {}

type Command =
  | { readonly _tag: "Open"; readonly owner: string }
  | { readonly _tag: "Pay"; readonly amount: number }

export const account = Decider.make({
  aggregateType: "account",
  definitions: [Opened, Paid],
  initial: { balance: 0 },
  decide: (command: Command, { balance }) => {
    if (command._tag === "Open") return Result.succeed([Opened.of({ owner: command.owner })])
    return balance + command.amount < 0
      ? Result.fail(new TooLittle({ balance }))
      : Result.succeed([Paid.of({ amount: command.amount })])
  },
  evolve: (state, event) => event.type === "account.paid" ? { balance: state.balance + event.data.amount } : state
})

export const pay = Effect.fn("pay")(function*(accountId: string, amount: number) {
  const { execute } = yield* EventStore
  const { state } = yield* execute(account, accountId, { _tag: "Pay", amount })
  return state.balance
})

export const AppLive = EventStoreLive.pipe(
  Layer.provideMerge(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
)

export const transfer = Effect.fn("transfer")(function*(from: string, to: string, amount: number) {
  const sql = yield* SqlClient
  const { execute, transact } = yield* EventStore
  yield* transact(Effect.gen(function*() {
    yield* execute(account, from, { _tag: "Pay", amount: -amount })
    yield* execute(account, to, { _tag: "Pay", amount })
    yield* sql`INSERT INTO transfers (payer, payee, amount) VALUES (${from}, ${to}, ${amount})`
  }))
})

export const importHistory = Effect.fn("importHistory")(function*(accountId: string, amounts: ReadonlyArray<number>) {
  const { append, transact } = yield* EventStore
  const stream = { aggregateType: "account", aggregateId: accountId }
  const events = yield* Effect.forEach(amounts, (amount) => Paid.make({ amount }))
  return yield* transact(append(stream, "noStream", events, { headers: { source: "import" } }))
})

export const statement = (accountId: string) =>
  Stream.unwrap(
    Effect.map(EventStore, ({ read }) =>
      read({ aggregateType: "account", aggregateId: accountId }, { direction: "backward", limit: 10 }))
  )

export const accountWithSnapshots = {
  ...account,
  snapshot: { name: "balance", version: 1, state: Schema.Struct({ balance: Schema.Int }), every: 100 }
}

export const balances = Projection.make({
  name: "balances",
  handlers: [
    Projection.on(
      Paid,
      ({ data, envelope }) =>
        Effect.flatMap(
          SqlClient,
          (sql) =>
            sql`INSERT INTO balances AS b (account_id, balance) VALUES (${envelope.aggregateId}, ${data.amount})
          ON CONFLICT (account_id) DO UPDATE SET balance = b.balance + ${data.amount}`
        )
    )
  ],
  reset: Effect.flatMap(SqlClient, (sql) => sql`TRUNCATE balances`)
})

export const Reports = Layer.effectDiscard(
  run(balances).pipe(Effect.tapCause((cause) => Effect.logError("balances", cause)), Effect.forkScoped)
)

export const balances2 = Projection.make({
  name: "balances",
  version: 2,
  handlers: [
    Projection.on(
      Paid,
      ({ data, envelope }) =>
        Effect.flatMap(
          SqlClient,
          (sql) =>
            sql`INSERT INTO balances_2 AS b (account_id, balance, payments) VALUES (${envelope.aggregateId}, ${data.amount}, 1)
          ON CONFLICT (account_id) DO UPDATE SET balance = b.balance + ${data.amount}, payments = b.payments + 1`
        )
    )
  ],
  onLive: Effect.flatMap(SqlClient, (sql) => sql`CREATE OR REPLACE VIEW account_balances AS SELECT * FROM balances_2`)
})

export const WithTotals = EventStoreLiveWith({
  inline: [{
    name: "totals",
    handle: (events) => Effect.flatMap(SqlClient, (sql) => sql`UPDATE totals SET events = events + ${events.length}`)
  }]
})

export const ofOneAccount = (accountId: string) =>
  Subscription.stream({ filter: { aggregateType: "account", aggregateId: accountId } })

export const CustomerJoined = EventDefinition.make("customer.joined", {
  aggregateType: "customer",
  subject: (customer) => customer.customerId,
  payload: Schema.Struct({
    customerId: Schema.String,
    plan: Schema.String,
    name: Personal.field(Schema.String)
  })
})

export const forget = (customerId: string) =>
  Effect.flatMap(SubjectKeys, (keys) => keys.forget(customerId)).pipe(Effect.provide(PostgresSubjectKeys.layer))

export const specification = () => {
  const given = DeciderSpecification.of(account).given
  given(Paid.of({ amount: 10 })).when({ _tag: "Pay", amount: -4 }).then(Paid.of({ amount: -4 }))
  given(Paid.of({ amount: 10 })).when({ _tag: "Pay", amount: -11 }).thenRefuses(new TooLittle({ balance: 10 }))
}

export const projectionSpecification = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* ProjectionSpecification.of(balances)
    .given(yield* Paid.make({ amount: 10 }, { aggregateId: "7" }))
    .when(yield* Paid.make({ amount: -4 }, { aggregateId: "7" }))
    .then(sql<{ balance: number }>`SELECT balance FROM balances`, [{ balance: 6 }])
})
