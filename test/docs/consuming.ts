/** The examples of docs/consuming.md. */
import * as Subscription from "@zakops/event-store/Subscription"
import { Consumer, InboxGuard, RetryAfter } from "@zakops/inbox"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { DealCreated } from "./readmeExample.ts"

export const mailer = Effect.gen(function*() {
  const sql = yield* SqlClient
  const mail = (eventId: string, subject: string) =>
    sql`INSERT INTO mails (event_id, subject) VALUES (${eventId}, ${subject})`
  return yield* Consumer.run({
    consumerId: "mailer",
    source: yield* Subscription.make("mailer"),
    handlers: [
      Consumer.on(DealCreated, ({ data, envelope }) => mail(envelope.id, `New deal: ${data.title}`))
    ]
  })
}).pipe(Effect.provide(InboxGuard.layer))

export class BankIsBusy extends Data.TaggedError("BankIsBusy")<{ readonly freeIn: Duration.Duration }> {}

export const charger = (bank: (dealId: string) => Effect.Effect<void, BankIsBusy>) =>
  Consumer.on(DealCreated, ({ data }) =>
    Effect.catchTag(
      bank(data.dealId),
      "BankIsBusy",
      ({ freeIn }) => new RetryAfter({ duration: freeIn, reason: "the bank takes no more at the moment" })
    ))

export const onWebhook = Effect.fn("onWebhook")(function*(eventId: string, subject: string) {
  const sql = yield* SqlClient
  const inbox = yield* InboxGuard
  return yield* inbox.once(
    { eventId, consumerId: "webhook" },
    sql`INSERT INTO mails (event_id, subject) VALUES (${eventId}, ${subject})`
  )
})

export const onBatch = Effect.fn("onBatch")(function*(eventIds: ReadonlyArray<string>) {
  const sql = yield* SqlClient
  const inbox = yield* InboxGuard
  const mail = (newIds: ReadonlyArray<string>) =>
    sql`INSERT INTO mails (event_id, subject) SELECT id, 'from a batch' FROM unnest(${newIds}::uuid[]) AS new (id)`
  return yield* inbox.onceForEach("batch", eventIds, mail)
})

export const inSteps = Effect.fn("inSteps")(function*(eventId: string) {
  const sql = yield* SqlClient
  const inbox = yield* InboxGuard
  yield* Effect.scoped(Effect.gen(function*() {
    const guard = yield* inbox.open({ eventId, consumerId: "in steps" })
    if (!guard.shouldProcess) return
    yield* guard.within(sql`INSERT INTO mails (event_id, subject) VALUES (${eventId}, 'first')`)
    yield* guard.within(sql`UPDATE mails SET subject = 'second' WHERE event_id = ${eventId}`)
  }))
})
