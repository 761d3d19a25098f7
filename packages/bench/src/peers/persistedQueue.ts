/** Effect's own PersistedQueue on the same sql-pg: what a program on Effect uses when it has nothing else. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { untilTrue } from "../measure.ts"
import { numberOf, parts, Payload, payload } from "../payload.ts"
import type { Work } from "../workers.ts"
import type { Open } from "./Drainer.ts"
import { countUntil } from "./Drainer.ts"
import type { OpenEmitter } from "./Emitter.ts"

export const layer = (url: string, connections: number, pollInterval: Duration.Input = "1 second") =>
  PersistedQueue.layer.pipe(
    Layer.provideMerge(PersistedQueue.layerStoreSql({ pollInterval })),
    Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: connections }))
  )

export const queue = PersistedQueue.make({ name: "deals", schema: Payload })

const takers = 500
export const throughputSettings = `layerStoreSql, ${takers} takers, pool of 10; keeps what is done`

/** `offer` takes one at a time; a thousand in a transaction. */
export const fill = Effect.fnUntraced(function*(count: number) {
  const sql = yield* SqlClient
  const { offer } = yield* queue
  yield* Effect.forEach(
    parts(count, 1000),
    (part) => sql.withTransaction(Effect.forEach(part, (n) => offer(payload(n)), { discard: true })),
    { concurrency: 2, discard: true }
  )
})

export const persistedQueue: Open = (url) =>
  Effect.gen(function*() {
    const services = yield* Layer.build(layer(url, 10))
    const calls = countUntil()
    const finished = yield* untilTrue(url, "NOT EXISTS (SELECT FROM effect_queue WHERE state <> 'completed')")
    return {
      fill: (count) => Effect.provideContext(fill(count), services),
      drain: (count) =>
        Effect.gen(function*() {
          const { take } = yield* Effect.provideContext(
            queue,
            Context.pick(PersistedQueue.PersistedQueueFactory)(services)
          )
          const taking = Effect.forever(take(() => Effect.sync(() => calls.hit())))
          yield* Effect.forkScoped(
            Effect.all(Array.from({ length: takers }, () => taking), { concurrency: "unbounded" })
          )
          yield* calls.until(count)
          yield* finished
        })
    }
  })

/** `offer` in the transaction, so often. */
export const emittingMany = (offers: number): OpenEmitter => (url, connections) =>
  Effect.gen(function*() {
    const services = yield* Layer.build(layer(url, connections))
    const sql = Context.get(services, SqlClient)
    const { offer } = yield* Effect.provideContext(queue, services)
    return (n) => {
      const data = payload(n)
      return sql.withTransaction(Effect.andThen(
        sql`INSERT INTO deals (id, price) VALUES (${data.dealId}, ${data.price})`,
        offers === 1 ? offer(data) : Effect.replicateEffect(offer(data), offers, { discard: true })
      ))
    }
  })

export const emitting = emittingMany(1)

export const latencySettings = "layerStoreSql in another process, 100 takers, pollInterval 10 ms: it does not listen"
export const work: Work = (url, took) =>
  Effect.gen(function*() {
    const services = yield* Layer.build(layer(url, 10, "10 millis"))
    const { take } = yield* Effect.provideContext(queue, services)
    const taking = Effect.forever(take((data) => Effect.sync(() => took(numberOf(data)))))
    yield* Effect.forkScoped(Effect.all(Array.from({ length: 100 }, () => taking), { concurrency: "unbounded" }))
  })
