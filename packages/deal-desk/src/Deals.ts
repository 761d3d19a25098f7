/**
 * The business of the deal desk. Each change and its events are one transaction.
 *
 * Shows both kinds of events: a deal is decided by its decider, in a stream of versions; an action is a row of a table, and reported with
 * `emitActionEvent`.
 */
import { EventStore } from "@zakops/event-store/EventStore"
import type { AppendError, LoadError } from "@zakops/event-store/EventStore"
import type { EmitError } from "@zakops/outbox"
import { emitActionEvent, Outbox, TransactionalPublisher } from "@zakops/outbox"
import * as Context from "effect/Context"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Deal, DealExists, DealNotFound, Stage } from "./dealDecider.ts"
import { DealCommand, dealDecider, notFound } from "./dealDecider.ts"
import { ActionAdded, FollowUpDue } from "./events.ts"

export class Action extends Schema.Class<Action>("Action")({
  actionId: Schema.String,
  dealId: Schema.String,
  title: Schema.String
}) {}

/** A deal over the limit needs a second signature before it is won. */
export class NeedsSignature extends Schema.TaggedError<NeedsSignature>()("NeedsSignature", {
  dealId: Schema.String,
  message: Schema.String
}, { httpApiStatus: 409 }) {}

/** How many deals are in a stage, and what they are worth together. */
export class PipelineStage extends Schema.Class<PipelineStage>("PipelineStage")({
  stage: Schema.String,
  deals: Schema.Int,
  amount: Schema.Int
}) {}

/** Above this amount a deal is not won without a second signature. */
export const amountLimit = 1_000_000

/** How long after an offer somebody is reminded of it. */
export const FollowUpAfter = Context.Reference<Duration.Duration>("@zakops/deal-desk/FollowUpAfter", {
  defaultValue: () => Duration.days(3)
})

interface NewDeal {
  readonly dealId?: string | undefined
  readonly title: string
  readonly amount: number
}

/** What the business does not expect: the database is away, say, or the log holds what this build cannot read. */
export type Unexpected = LoadError | AppendError | EmitError

export class Deals extends Context.Service<Deals, {
  readonly create: (deal: NewDeal) => Effect.Effect<Deal, DealExists | DealNotFound | Unexpected>
  readonly get: (dealId: string) => Effect.Effect<Deal, DealNotFound | Unexpected>
  readonly moveStage: (
    dealId: string,
    stage: Stage
  ) => Effect.Effect<Deal, DealExists | DealNotFound | NeedsSignature | Unexpected>
  readonly addAction: (
    dealId: string,
    action: { readonly actionId?: string | undefined; readonly title: string }
  ) => Effect.Effect<Action, DealNotFound | Unexpected>
  /** As far as the projection has come: a moment behind what is committed. */
  readonly pipeline: Effect.Effect<ReadonlyArray<PipelineStage>, SqlError>
}>()("@zakops/deal-desk/Deals") {
  static readonly layer = Layer.effect(
    Deals,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const store = yield* EventStore
      const outbox = yield* Outbox
      const publisher = yield* TransactionalPublisher
      const followUpAfter = yield* FollowUpAfter
      const emitting = Effect.provideContext(
        Context.make(Outbox, outbox).pipe(Context.add(TransactionalPublisher, publisher))
      )

      const present = (dealId: string, deal: Deal | null) =>
        deal === null ? Effect.fail(notFound(dealId)) : Effect.succeed(deal)

      const get = Effect.fn("Deals.get")(function*(dealId: string) {
        const { state } = yield* store.load(dealDecider, dealId)
        return yield* present(dealId, state)
      })

      const create = Effect.fn("Deals.create")(function*({ amount, dealId = uuidV7Unsafe(), title }: NewDeal) {
        const { state } = yield* store.execute(dealDecider, dealId, DealCommand.Create({ dealId, title, amount }))
        return yield* present(dealId, state)
      })

      const moveStage = Effect.fn("Deals.moveStage")(function*(dealId: string, to: Stage) {
        return yield* store.transact(Effect.gen(function*() {
          const { state } = yield* store.execute(dealDecider, dealId, DealCommand.MoveStage({ dealId, to }))
          const deal = yield* present(dealId, state)
          if (to === "offered") {
            const reminder = yield* FollowUpDue.make({ dealId })
            yield* outbox.emit(reminder, { correlationId: dealId, delay: followUpAfter })
          }
          // Comes after the append on purpose: the roll-back takes the event along.
          if (to === "won" && deal.amount > amountLimit) {
            return yield* new NeedsSignature({
              dealId,
              message: `above ${amountLimit} a deal needs a second signature`
            })
          }
          return deal
        }))
      })

      const addAction = Effect.fn("Deals.addAction")(
        function*(
          dealId: string,
          { actionId = uuidV7Unsafe(), title }: { readonly actionId?: string | undefined; readonly title: string }
        ) {
          yield* get(dealId)
          // A second click brings the same id: neither the row nor its event is written again, and the answer is the same.
          yield* sql`INSERT INTO deal_desk.actions (action_id, deal_id, title) VALUES (${actionId}, ${dealId}, ${title})
            ON CONFLICT (action_id) DO NOTHING`
          return new Action({ actionId, dealId, title })
        },
        emitActionEvent((action) => ({
          event: ActionAdded.make(action),
          correlationId: action.dealId,
          dedupeKey: action.actionId
        })),
        emitting
      )

      return Deals.of({
        create,
        get,
        moveStage,
        addAction,
        pipeline: Effect.map(
          sql<{ stage: string; deals: number; amount: number }>`
            SELECT stage, count(*)::int AS deals, sum(amount)::float8 AS amount FROM deal_desk.pipeline GROUP BY stage ORDER BY stage`,
          (rows) => rows.map((row) => new PipelineStage(row))
        )
      })
    })
  )
}
