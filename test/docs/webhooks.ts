/** The examples of docs/brokers.md about webhooks. */
import { Consumer } from "@zakops/inbox"
import { WebhookPublisher, WebhookReceiver } from "@zakops/webhook"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { DealCreated } from "./readmeExample.ts"

const mail = (eventId: string, subject: string) =>
  Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO mails (event_id, subject) VALUES (${eventId}, ${subject})`)

export const layerPartner = Layer.unwrap(Effect.gen(function*() {
  const secret = yield* Config.Redacted("PARTNER_SECRET")
  return WebhookPublisher.layer({ url: "https://partner.example/hooks/deals", secrets: [secret] })
}))

export const layerReceiving = Layer.unwrap(Effect.gen(function*() {
  const secret = yield* Config.Redacted("SENDER_SECRET")
  const { route, source } = yield* WebhookReceiver.make("the sender's webhook", { secrets: [secret] })
  yield* Effect.forkScoped(Consumer.run({
    consumerId: "mailer",
    source,
    handlers: [Consumer.on(DealCreated, ({ data, envelope }) => mail(envelope.id, `New deal: ${data.title}`))]
  }))
  return HttpRouter.add("POST", "/hooks/deals", route)
}))
