/**
 * The business of the deal desk. Each change and its event are one transaction.
 *
 * Shows both ways to emit: `emitDealEvent` wraps a change whose result says all, `transact` and `emit` leave room for what comes after.
 */
import type { EmitError } from "@zakops/outbox"
import { emitActionEvent, emitDealEvent, Outbox, TransactionalPublisher } from "@zakops/outbox"
import * as Context from "effect/Context"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { ActionAdded, DealCreated, DealStageMoved } from "./events.ts"

export const Stage = Schema.Literals(["new", "offered", "won", "lost"])

export class Deal extends Schema.Class<Deal>("Deal")({
  dealId: Schema.String,
  title: Schema.String,
  amount: Schema.Int,
  stage: Stage
}) {}

export class Action extends Schema.Class<Action>("Action")({
  actionId: Schema.String,
  dealId: Schema.String,
  title: Schema.String
}) {}

export class DealNotFound extends Schema.TaggedError<DealNotFound>()("DealNotFound", {
  dealId: Schema.String,
  message: Schema.String
}, { httpApiStatus: 404 }) {}

export class DealExists extends Schema.TaggedError<DealExists>()("DealExists", {
  dealId: Schema.String,
  message: Schema.String
}, { httpApiStatus: 409 }) {}

/** A deal over the limit needs a second signature before it is won. */
export class NeedsSignature extends Schema.TaggedError<NeedsSignature>()("NeedsSignature", {
  dealId: Schema.String,
  message: Schema.String
}, { httpApiStatus: 409 }) {}

/** Above this amount a deal is not won without a second signature. */
export const amountLimit = 1_000_000

const notFound = (dealId: string) => new DealNotFound({ dealId, message: `there is no deal ${dealId}` })

interface NewDeal {
  readonly dealId?: string | undefined
  readonly title: string
  readonly amount: number
}

export class Deals extends Context.Service<Deals, {
  readonly create: (deal: NewDeal) => Effect.Effect<Deal, DealExists | EmitError>
  readonly get: (dealId: string) => Effect.Effect<Deal, DealNotFound | SqlError>
  readonly moveStage: (
    dealId: string,
    stage: typeof Stage.Type
  ) => Effect.Effect<Deal, DealNotFound | NeedsSignature | EmitError>
  readonly addAction: (
    dealId: string,
    action: { readonly actionId?: string | undefined; readonly title: string }
  ) => Effect.Effect<Action, DealNotFound | EmitError>
}>()("@zakops/deal-desk/Deals") {
  static readonly layer = Layer.effect(
    Deals,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const outbox = yield* Outbox
      const publisher = yield* TransactionalPublisher
      const emitting = Effect.provideContext(
        Context.make(Outbox, outbox).pipe(Context.add(TransactionalPublisher, publisher))
      )

      const select = Effect.fnUntraced(function*(dealId: string, lock: "" | "FOR UPDATE" | "FOR SHARE") {
        const [row] = yield* sql<Deal>`
          SELECT deal_id AS "dealId", title, amount, stage FROM deal_desk.deals
          WHERE deal_id = ${dealId}::uuid ${sql.literal(lock)}`
        return row === undefined ? yield* notFound(dealId) : new Deal(row)
      })

      const create = Effect.fn("Deals.create")(
        function*({ amount, dealId = uuidV7Unsafe(), title }: NewDeal) {
          const inserted = yield* sql`
          INSERT INTO deal_desk.deals (deal_id, title, amount) VALUES (${dealId}, ${title}, ${amount})
          ON CONFLICT DO NOTHING RETURNING deal_id`
          if (inserted.length === 0) {
            return yield* new DealExists({ dealId, message: `there is a deal ${dealId} already` })
          }
          return new Deal({ dealId, title, amount, stage: "new" })
        },
        emitDealEvent((deal) => ({ event: DealCreated.make(deal), correlationId: deal.dealId })),
        emitting
      )

      const moveStage = Effect.fn("Deals.moveStage")(function*(dealId: string, to: typeof Stage.Type) {
        return yield* publisher.transact(Effect.gen(function*() {
          const deal = yield* select(dealId, "FOR UPDATE")
          yield* sql`UPDATE deal_desk.deals SET stage = ${to} WHERE deal_id = ${dealId}::uuid`
          yield* outbox.emit(
            yield* DealStageMoved.make({ dealId, from: deal.stage, to }),
            { correlationId: dealId }
          )
          // Comes after the emit on purpose: the roll-back takes the event along.
          if (to === "won" && deal.amount > amountLimit) {
            return yield* new NeedsSignature({
              dealId,
              message: `above ${amountLimit} a deal needs a second signature`
            })
          }
          return new Deal({ ...deal, stage: to })
        }))
      })

      const addAction = Effect.fn("Deals.addAction")(
        function*(
          dealId: string,
          { actionId = uuidV7Unsafe(), title }: { readonly actionId?: string | undefined; readonly title: string }
        ) {
          yield* select(dealId, "FOR SHARE")
          yield* sql`INSERT INTO deal_desk.actions (action_id, deal_id, title) VALUES (${actionId}, ${dealId}, ${title})`
          return new Action({ actionId, dealId, title })
        },
        emitActionEvent((action) => ({ event: ActionAdded.make(action), correlationId: action.dealId })),
        emitting
      )

      return Deals.of({
        create,
        get: (dealId) => select(dealId, ""),
        moveStage,
        addAction
      })
    })
  )
}
