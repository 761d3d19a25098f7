/** The examples of docs/routing.md. */
import * as EventLog from "@zakops/event-store/EventLog"
import { DeadLetters, Destinations, FlowControl, layerRoutes, OutboxLive, routeTo } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { layerWebhook } from "./publishers.ts"

const isLarge = Schema.is(Schema.Struct({ amount: Schema.Number.check(Schema.isGreaterThan(1_000_000)) }))

export const PartnerRoutes = layerRoutes([
  routeTo(layerWebhook("https://partner.example/deals"), { name: "partner", types: ["deal.won", "deal.lost"] }),
  routeTo(layerWebhook("https://audit.example/large"), {
    name: "audit",
    types: ["deal.won"],
    when: ({ data }) => isLarge(data),
    limits: { destination: { rate: { limit: 10, per: "1 second" } } }
  })
])

export const WithRoutes = OutboxLive.pipe(
  Layer.provide(PartnerRoutes),
  Layer.provide(EventLog.layerPublisher)
)

export const whereIs = Effect.fnUntraced(function*(eventId: string) {
  const destinations = yield* Destinations
  for (const { attempts, destination, status } of yield* destinations.ofEvent(eventId)) {
    yield* Effect.logInfo(`${destination ?? "the main destination"}: ${status} after ${attempts} attempts`)
  }
  return yield* destinations.list
})

export const afterTheirOutage = Effect.gen(function*() {
  const flow = yield* FlowControl
  const dead = yield* DeadLetters
  yield* flow.resume({ destination: "partner" }, { by: "ann" })
  return yield* dead.redrive({ destination: "partner" }, { by: "ann", rate: 50 })
})
