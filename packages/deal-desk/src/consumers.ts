/** Two consumers of the event log: the timeline of each deal, and the mailer, which writes each mail into a table once. */
import * as Subscription from "@zakops/event-store/Subscription"
import { Consumer } from "@zakops/inbox"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { ActionAdded, DealCreated, DealStageMoved } from "./events.ts"

/** Runs until interrupted, or until the log holds an event that this build cannot decode. */
export const timeline = Effect.gen(function*() {
  const sql = yield* SqlClient
  const note = (eventId: string, dealId: string, entry: string) =>
    sql`INSERT INTO deal_desk.timeline (event_id, deal_id, entry) VALUES (${eventId}, ${dealId}, ${entry})`
  return yield* Consumer.run({
    consumerId: "deal-timeline",
    source: yield* Subscription.make("deal-timeline"),
    handlers: [
      Consumer.on(DealCreated, ({ data, envelope }) => note(envelope.id, data.dealId, `created: ${data.title}`)),
      Consumer.on(DealStageMoved, ({ data, envelope }) => note(envelope.id, data.dealId, `${data.from} -> ${data.to}`)),
      Consumer.on(ActionAdded, ({ data, envelope }) => note(envelope.id, data.dealId, `to do: ${data.title}`))
    ]
  })
})

/** A mail for each deal that is created or won. */
export const mailer = Effect.gen(function*() {
  const sql = yield* SqlClient
  const mail = (eventId: string, dealId: string, subject: string) =>
    sql`INSERT INTO deal_desk.mails (event_id, deal_id, subject) VALUES (${eventId}, ${dealId}, ${subject})`
  return yield* Consumer.run({
    consumerId: "mailer",
    source: yield* Subscription.make("mailer"),
    handlers: [
      Consumer.on(DealCreated, ({ data, envelope }) => mail(envelope.id, data.dealId, `New deal: ${data.title}`)),
      Consumer.on(
        DealStageMoved,
        ({ data, envelope }) => data.to === "won" ? mail(envelope.id, data.dealId, "Won!") : Effect.void
      )
    ]
  })
})
