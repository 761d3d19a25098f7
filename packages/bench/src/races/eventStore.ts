/**
 * The event store against emmett's Postgres store: appends to many streams and to one, and a subscription that catches up.
 *
 * Both do the same work with the same payload, the same number of connections and the durability that Postgres comes with. Ours also
 * writes each event to the outbox, in the same statement; emmett has none.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { dumbo } from "@event-driven-io/dumbo"
import {
  getPostgreSQLEventStore,
  postgreSQLEventStoreConsumer,
  postgreSQLEventStoreMessageBatchPuller
} from "@event-driven-io/emmett-postgresql"
import { EventStore } from "@zakops/event-store/EventStore"
import * as EventLog from "@zakops/event-store/EventLog"
import * as Subscription from "@zakops/event-store/Subscription"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { migrate } from "@zakops/migrations/Migrations"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { layerServices } from "@zakops/outbox/OutboxLive"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Client, Pool } from "pg"
import { timesEachPeer } from "../Goal.ts"
import type { Contestant, Race } from "../Measurement.ts"
import { rateOf } from "../measure.ts"

const connections = 16

const ItemAdded = EventDefinition.make("cart.item_added", {
  aggregateType: "cart",
  payload: Schema.Struct({ sku: Schema.String, quantity: Schema.Int, note: Schema.String })
})

/** About 350 bytes of JSON. */
const item = (n: number) => ({ sku: `sku-${n}`, quantity: n % 7, note: "n".repeat(300) })

const range = (count: number) => Array.from({ length: count }, (_, n) => n)

const ours = (
  settings: string,
  run: (size: number) => Effect.Effect<number, unknown, EventStore | PgClient.PgClient | SqlClient>
): Contestant => ({
  name: "zakops",
  settings,
  run: (url, size) =>
    Effect.gen(function*() {
      const live = EventStore.layer.pipe(
        Layer.provideMerge(layerServices),
        Layer.provideMerge(OutboxConfig.layerWith({})),
        Layer.provideMerge(EventLog.layerPublisher),
        Layer.provideMerge(Layer.effectDiscard(migrate)),
        Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: connections }))
      )
      const context = yield* Layer.build(live)
      return yield* Effect.provideContext(run(size), context)
    })
})

type Emmett = ReturnType<typeof getPostgreSQLEventStore>

const emmett = (
  settings: string,
  run: (store: Emmett, url: string, pool: Pool, size: number) => Effect.Effect<number, unknown>
): Contestant => ({
  name: "emmett",
  settings,
  run: (url, size) =>
    Effect.gen(function*() {
      const pool = yield* Effect.acquireRelease(
        // The database is dropped when all is over, under whatever connection is left.
        Effect.sync(() => new Pool({ connectionString: url, max: connections }).on("error", () => {})),
        (pool) => Effect.promise(() => pool.end())
      )
      const store = yield* Effect.acquireRelease(
        Effect.sync(() => getPostgreSQLEventStore(url, { connectionOptions: { pool } })),
        (store) => Effect.promise(() => store.close())
      )
      yield* Effect.promise(() => store.schema.migrate())
      return yield* run(store, url, pool, size)
    })
})

const emmettEvent = (n: number) => ({ type: "cart.item_added", data: item(n), metadata: {} })

/** Puts `size` events into streams of a hundred. */
const fill = Effect.fnUntraced(function*(store: Emmett, size: number) {
  for (const stream of range(size / eventsPerStream)) {
    yield* Effect.promise(() => store.appendToStream(`cart-${stream}`, range(eventsPerStream).map(emmettEvent)))
  }
})

/** @param callers appends in flight at the same time, over the same pool of 16 connections */
const toManyStreams = (callers: number): Race => ({
  name: `append one event each to many streams, ${callers} callers`,
  unit: "appends/s",
  size: 20_000,
  quickSize: 3_000,
  goals: [timesEachPeer(2)],
  contestants: [
    ours("EventStore.write, pool of 16; writes the outbox as well", (size) =>
      Effect.gen(function*() {
        const { write } = yield* EventStore
        return yield* rateOf(
          size,
          Effect.forEach(range(size), (n) =>
            Effect.flatMap(ItemAdded.make(item(n)), (event) =>
              write({ aggregateType: "cart", aggregateId: randomUUID() }, "noStream", [event])), {
            concurrency: callers,
            discard: true
          })
        )
      })),
    emmett("appendToStream, expecting no stream, pool of 16", (store, _url, _pool, size) =>
      rateOf(
        size,
        Effect.forEach(range(size), (n) =>
          Effect.promise(() =>
            store.appendToStream(`cart-${randomUUID()}`, [emmettEvent(n)], {
              expectedStreamVersion: "STREAM_DOES_NOT_EXIST"
            })
          ), { concurrency: callers, discard: true })
      ))
  ]
})

const writers = 16

const toOneStream: Race = {
  name: "append to one stream, whatever its version, 16 writers",
  unit: "appends/s",
  size: 4_000,
  quickSize: 800,
  goals: [timesEachPeer(2)],
  contestants: [
    ours("EventStore.write, expecting any version; writes the outbox as well", (size) =>
      Effect.gen(function*() {
        const { write } = yield* EventStore
        const stream = { aggregateType: "cart", aggregateId: randomUUID() }
        return yield* rateOf(
          size,
          Effect.forEach(range(size), (n) =>
            Effect.flatMap(ItemAdded.make(item(n)), (event) => write(stream, "any", [event])), {
            concurrency: writers,
            discard: true
          })
        )
      })),
    emmett(
      "appendToStream, expecting no version, tried again at once when somebody else was faster",
      (store, _url, _pool, size) =>
        rateOf(
          size,
          Effect.forEach(
            range(size),
            (n) => Effect.promise(() => untilTaken(() => store.appendToStream("cart-1", [emmettEvent(n)]))),
            {
              concurrency: writers,
              discard: true
            }
          )
        )
    )
  ]
}

/** It reads the version and then expects it: of two that come together, one fails, with a unique violation while the stream is new. */
const untilTaken = async (append: () => Promise<unknown>): Promise<void> => {
  while (true) {
    try {
      await append()
      return
    } catch (error) {
      if (!/expected|duplicate key|concurren/i.test(String(error))) throw error
    }
  }
}

const oneWriter: Race = {
  name: "append one event after another to one stream, at the expected version: bound by the commit",
  unit: "appends/s",
  size: 5_000,
  quickSize: 500,
  goals: [timesEachPeer(2)],
  contestants: [
    ours("EventStore.write at the expected version; writes the outbox as well", (size) =>
      Effect.gen(function*() {
        const { write } = yield* EventStore
        const stream = { aggregateType: "cart", aggregateId: randomUUID() }
        return yield* rateOf(
          size,
          Effect.forEach(range(size), (n) =>
            Effect.flatMap(ItemAdded.make(item(n)), (event) => write(stream, n, [event])), { discard: true })
        )
      })),
    emmett("appendToStream with the expected version", (store, _url, _pool, size) =>
      rateOf(
        size,
        Effect.forEach(range(size), (n) =>
          Effect.promise(() =>
            store.appendToStream("cart-1", [emmettEvent(n)], {
              expectedStreamVersion: n === 0 ? "STREAM_DOES_NOT_EXIST" : BigInt(n)
            })
          ), { discard: true })
      )),
    {
      name: "one INSERT",
      settings:
        "the pg client inserts the same JSON into a table of id and data, prepared: no stream, no version, no outbox",
      bound: true,
      run: (url, size) =>
        Effect.gen(function*() {
          const client = yield* Effect.acquireRelease(
            Effect.sync(() => new Client({ connectionString: url }).on("error", () => {})),
            (client) => Effect.promise(() => client.end())
          )
          yield* Effect.promise(() => client.connect())
          yield* Effect.promise(() => client.query("CREATE TABLE events (id uuid PRIMARY KEY, data jsonb NOT NULL)"))
          const insert = (n: number) =>
            client.query({
              name: "insert",
              text: "INSERT INTO events VALUES ($1, $2)",
              values: [randomUUID(), JSON.stringify(item(n))]
            })
          return yield* rateOf(
            size,
            Effect.forEach(range(size), (n) => Effect.promise(() => insert(n)), { discard: true })
          )
        })
    }
  ]
}

const eventsPerStream = 100
const batchSize = 500

const catchUp: Race = {
  name: "a subscription with a checkpoint catches up, batches of 500, handler does nothing",
  unit: "events/s",
  size: 50_000,
  quickSize: 10_000,
  goals: [timesEachPeer(2)],
  contestants: [
    ours("Subscription.make, batchSize 500", (size) =>
      Effect.gen(function*() {
        const { write } = yield* EventStore
        for (const stream of range(size / eventsPerStream)) {
          const events = yield* Effect.forEach(range(eventsPerStream), (n) => ItemAdded.make(item(n)))
          yield* write({ aggregateType: "cart", aggregateId: `cart-${stream}` }, "noStream", events, {
            correlationId: randomUUID()
          })
        }
        const source = yield* Subscription.make("bench", { batchSize })
        const done = yield* Deferred.make<void>()
        let handled = 0
        const consuming = source.consume((batch) => {
          handled += batch.length
          return handled >= size ? Effect.asVoid(Deferred.succeed(done, void 0)) : Effect.void
        })
        return yield* rateOf(size, Effect.raceFirst(Deferred.await(done), consuming))
      })),
    // In 0.42 a reactor's eachBatch is never called, and a projector is handed one event at a time, so that eachMessage is the best there
    // is.
    emmett(
      "consumer with a reactor, eachMessage, pulling.batchSize 500; a checkpoint for each event",
      (store, url, _pool, size) =>
        Effect.gen(function*() {
          yield* fill(store, size)
          let handled = 0
          const consumer = postgreSQLEventStoreConsumer({
            connectionString: url,
            stopWhen: { noMessagesLeft: true },
            pulling: { batchSize, pullingFrequencyInMs: 1 }
          })
          consumer.reactor({
            processorId: "bench",
            eachMessage: () => {
              handled++
            }
          })
          const rate = yield* rateOf(size, Effect.promise(() => consumer.start()))
          yield* Effect.promise(() => consumer.close())
          if (handled !== size) return yield* Effect.die(new Error(`emmett handled ${handled} of ${size} events`))
          return rate
        })
    ),
    {
      ...emmett(
        "its message batch puller alone, batchSize 500: no checkpoint",
        (store, url, _pool, size) =>
          Effect.gen(function*() {
            yield* fill(store, size)
            const connection = dumbo({ connectionString: url })
            let handled = 0
            const puller = postgreSQLEventStoreMessageBatchPuller({
              executor: connection.execute,
              batchSize,
              pullingFrequencyInMs: 0,
              stopWhen: { noMessagesLeft: true },
              signal: new AbortController().signal,
              eachBatch: (messages) => {
                handled += messages.length
                return Promise.resolve(handled >= size ? { type: "STOP" } : undefined)
              }
            })
            const rate = yield* rateOf(size, Effect.promise(() => puller.start({ startFrom: "BEGINNING" })))
            yield* Effect.promise(() => connection.close())
            return rate
          })
      ),
      name: "emmett puller"
    }
  ]
}

export const eventStoreRaces: ReadonlyArray<Race> = [
  toManyStreams(64),
  toManyStreams(16),
  toOneStream,
  oneWriter,
  catchUp
]
