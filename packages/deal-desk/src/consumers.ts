/** The consumer of the event log, or of the broker that was chosen: the mailer, which writes each mail into a table once. */
import * as Subscription from "@zakops/event-store/Subscription"
import { Consumer } from "@zakops/inbox"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import { MailerSource } from "./broker.ts"
import { DealCreated, DealStageMoved, FollowUpDue } from "./events.ts"

/** A mail for each deal that is created or won, and a reminder of each that was offered. Runs until interrupted, or until the log holds an event that this build cannot decode. */
export const mailer = Effect.gen(function*() {
  const sql = yield* SqlClient
  const given = yield* MailerSource
  const mail = (eventId: string, dealId: string, subject: string) =>
    sql`INSERT INTO deal_desk.mails (event_id, deal_id, subject) VALUES (${eventId}, ${dealId}, ${subject})`
  return yield* Consumer.run({
    consumerId: "mailer",
    source: Option.isSome(given) ? given.value : yield* Subscription.make("mailer", {
      filter: { types: [DealCreated.type, DealStageMoved.type, FollowUpDue.type] }
    }),
    handlers: [
      Consumer.on(DealCreated, ({ data, envelope }) => mail(envelope.id, data.dealId, `New deal: ${data.title}`)),
      Consumer.on(
        DealStageMoved,
        ({ data, envelope }) => data.to === "won" ? mail(envelope.id, data.dealId, "Won!") : Effect.void
      ),
      Consumer.on(FollowUpDue, ({ data, envelope }) => mail(envelope.id, data.dealId, "What has become of the offer?"))
    ]
  })
})
