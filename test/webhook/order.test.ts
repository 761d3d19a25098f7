/** A receiver that goes away in the middle, breaks connections and comes back: each key in its order, and nothing lost. */
import { assert, layer } from "@effect/vitest"
import { EventPublisher } from "@zakops/events/EventPublisher"
import { OutboxProcessor, RetryPolicy } from "@zakops/outbox"
import { WebhookPublisher } from "@zakops/webhook"
import { decode } from "@zakops/webhook/WebhookReceiver"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { freePort } from "../support/brokers.ts"
import { firstSequences } from "../support/keys.ts"
import { emitDeals, emptyTables, eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import type { ReceivedRequest } from "../support/webhookServer.ts"
import { webhookServer } from "../support/webhookServer.ts"

const secrets = [Redacted.make(`whsec_${Buffer.alloc(24, 1).toString("base64")}`)] as const
const port = await freePort()

const Live = services({ pollInterval: Duration.millis(100), batchSize: 20 }).pipe(
  Layer.provideMerge(Layer.effect(
    EventPublisher,
    WebhookPublisher.make({
      url: `http://127.0.0.1:${port}/hook`,
      secrets,
      allowHttp: true,
      allowNetworks: ["127.0.0.1/32"]
    })
  )),
  Layer.provideMerge(Layer.succeed(RetryPolicy, Schedule.spaced("50 millis"))),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Live, { excludeTestServices: true })("a webhook whose receiver crashes", (it) => {
  it.effect("gets each key's events in their order, and all of them", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const processor = yield* OutboxProcessor
      const keys = ["a", "b", "c", "d", "e"]
      const ids: Array<string> = []
      for (let turn = 0; turn < 4; turn++) {
        for (const orderingKey of keys) ids.push(...(yield* emitDeals(10, { orderingKey })))
      }
      /** What was answered with 204, in the order of the answers. */
      const taken: Array<ReceivedRequest> = []
      const open = Effect.gen(function*() {
        const server = yield* webhookServer("127.0.0.1", port)
        server.answer = (request, response) => {
          // Every tenth is cut off before it is answered, as by a receiver whose process dies.
          if (server.requests.length % 10 === 0) response.destroy()
          else {
            taken.push(request)
            response.writeHead(204).end()
          }
        }
      })
      const first = yield* Scope.make()
      yield* Scope.provide(open, first)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* processor.start
        yield* eventually(Effect.sync(() => taken.length >= 60))
        yield* Scope.close(first, Exit.void)
        yield* eventually(Effect.map(
          sql`SELECT 1 FROM zakops.outbox_attempts WHERE outcome = 'handed_back' LIMIT 1`,
          (rows) => rows.length > 0
        ))
        yield* open
        yield* eventually(Effect.map(
          sql`SELECT FROM zakops.outbox WHERE status <> 'delivered' LIMIT 1`,
          (rows) => rows.length === 0
        ))
      }))
      const events = yield* Effect.forEach(
        taken,
        ({ body, headers }) => decode({ secrets })({ headers: headers as Record<string, string>, body })
      )
      assert.sameMembers([...new Set(events.map(({ id }) => id))], ids)
      const inOrder = firstSequences(events)
      assert.sameMembers([...inOrder.keys()], keys)
      for (const sequences of inOrder.values()) {
        assert.deepStrictEqual(sequences, sequences.toSorted((one, other) => one - other))
        assert.lengthOf(sequences, 40)
      }
    }))
})
