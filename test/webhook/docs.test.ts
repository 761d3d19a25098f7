/** What docs/brokers.md shows of webhooks, run. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, layer } from "@effect/vitest"
import { EventPublisher } from "@zakops/events/EventPublisher"
import { InboxGuard } from "@zakops/inbox"
import { WebhookPublisher } from "@zakops/webhook"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { createServer } from "node:http"
import { layerPartner, layerReceiving } from "../docs/webhooks.ts"
import { anEvent } from "../support/brokerPublisherContract.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const secret = `whsec_${Buffer.alloc(32, 5).toString("base64")}`
const variables = ConfigProvider.layer(
  ConfigProvider.fromUnknown({ PARTNER_SECRET: secret, SENDER_SECRET: secret })
)

layer(InboxGuard.layer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(
  "the examples of docs/brokers.md",
  (it) => {
    it.effect("a webhook that is received becomes a mail, and its sender is answered then", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* sql`CREATE TABLE mails (event_id uuid NOT NULL, subject text NOT NULL)`
        const served = yield* Layer.build(
          HttpRouter.serve(layerReceiving, { disableLogger: true, disableListenLog: true }).pipe(
            Layer.provide(variables),
            Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }))
          )
        )
        const address = HttpServer.formatAddress(Context.get(served, HttpServer.HttpServer).address)
        const { publish } = yield* WebhookPublisher.make({
          url: `${address}/hooks/deals`,
          secrets: [Redacted.make(secret)],
          allowHttp: true,
          allowNetworks: ["127.0.0.0/8"]
        })
        const event = anEvent({ eventType: "deal.created", data: { dealId: "1", title: "by webhook" } })
        yield* publish(event)
        yield* publish(event)
        assert.deepStrictEqual(yield* sql`SELECT event_id, subject FROM mails`, [
          { event_id: event.id, subject: "New deal: by webhook" }
        ])
      }))

    it.effect("a publisher takes its secret from the configuration", () =>
      Effect.gen(function*() {
        const context = yield* Layer.build(layerPartner.pipe(Layer.provide(variables)))
        const { destination } = Context.get(context, EventPublisher)
        assert.strictEqual(destination, "webhook https://partner.example/hooks/deals")
      }))
  }
)
