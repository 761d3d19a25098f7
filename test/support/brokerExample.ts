/** Runs what docs/brokers.md shows of a broker: an event goes from a transaction to the log and there, and the consumer mails about it. */
import { assert } from "@effect/vitest"
import type { EventPublisher } from "@zakops/events/EventPublisher"
import { InboxGuard } from "@zakops/inbox"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { beside } from "../docs/brokers.ts"
import { DealCreated } from "../docs/readmeExample.ts"
import { eventually } from "./outbox.ts"
import * as TestDatabase from "./TestDatabase.ts"

/** @param consumer never ends by itself */
export const runExample = <E>(
  publisher: Layer.Layer<EventPublisher>,
  consumer: Effect.Effect<never, E, InboxGuard | SqlClient>
) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const { transact } = yield* TransactionalPublisher
    const outbox = yield* Outbox
    yield* sql`CREATE TABLE mails (event_id uuid NOT NULL, subject text NOT NULL)`
    const dealId = randomUUID()
    const event = yield* DealCreated.make({ dealId, title: "by broker" })
    const id = yield* transact(outbox.emit(event, { correlationId: dealId }))
    const reading = yield* Effect.forkChild(consumer)
    const mails = sql`SELECT event_id, subject FROM mails`
    yield* eventually(Effect.map(mails, (rows) => rows.length > 0))
    yield* Fiber.interrupt(reading)
    assert.deepStrictEqual(yield* mails, [{ event_id: id, subject: "New deal: by broker" }])
    assert.deepStrictEqual(yield* sql`SELECT id FROM zakops.agent_events`, [{ id }])
  }).pipe(
    Effect.scoped,
    Effect.provide(InboxGuard.layer.pipe(
      Layer.provideMerge(beside(publisher)),
      Layer.provideMerge(TestDatabase.layer)
    ))
  )
