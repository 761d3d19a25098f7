/** Runs what docs/brokers.md shows of a broker: an event goes there from a transaction, and the consumer mails about it. */
import { assert } from "@effect/vitest"
import type { EventPublisher } from "@zakops/events/EventPublisher"
import { InboxGuard } from "@zakops/inbox"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { DealCreated } from "../docs/readmeExample.ts"
import { eventually, services } from "./outbox.ts"
import * as TestDatabase from "./TestDatabase.ts"

/** @param consumer never ends by itself */
export const runExample = <E>(
  publisher: Layer.Layer<EventPublisher>,
  consumer: Effect.Effect<never, E, InboxGuard | SqlClient>
) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const { drain } = yield* OutboxProcessor
    const { transact } = yield* TransactionalPublisher
    const outbox = yield* Outbox
    yield* sql`CREATE TABLE mails (event_id uuid NOT NULL, subject text NOT NULL)`
    const dealId = randomUUID()
    const event = yield* DealCreated.make({ dealId, title: "by broker" })
    const id = yield* transact(outbox.emit(event, { correlationId: dealId }))
    assert.strictEqual((yield* drain).delivered, 1)
    const reading = yield* Effect.forkChild(consumer)
    const mails = sql`SELECT event_id, subject FROM mails`
    yield* eventually(Effect.map(mails, (rows) => rows.length > 0))
    yield* Fiber.interrupt(reading)
    assert.deepStrictEqual(yield* mails, [{ event_id: id, subject: "New deal: by broker" }])
  }).pipe(
    Effect.scoped,
    Effect.provide(InboxGuard.layer.pipe(
      Layer.provideMerge(services()),
      Layer.provideMerge(publisher),
      Layer.provideMerge(TestDatabase.layer)
    ))
  )
