/** pg-boss 12: a row a job, kept until maintenance deletes it. */
import * as Effect from "effect/Effect"
import type { ConstructorOptions, WorkOptions } from "pg-boss"
import { PgBoss } from "pg-boss"
import { mustHold } from "../measure.ts"
import type { Payload } from "../payload.ts"
import { numberOf, parts, payload } from "../payload.ts"
import type { Work } from "../workers.ts"
import type { Open } from "./Drainer.ts"
import { countUntil } from "./Drainer.ts"
import type { OpenEmitter } from "./Emitter.ts"
import { inTransaction, pool } from "./inTransaction.ts"

export const queue = "deal-priced"

/** Started, with the queue. Its clock for schedules is off, since nobody has one; maintenance stays on. */
export const boss = (url: string, options: ConstructorOptions = {}, queueOptions: { readonly notify?: boolean } = {}) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const made = new PgBoss({ connectionString: url, schedule: false, max: 10, ...options })
      made.on("error", () => {})
      await made.start()
      await made.createQueue(queue, queueOptions)
      return made
    }),
    (made) => Effect.promise(() => made.stop({ graceful: false }))
  )

export const throughput = {
  batchSize: 1000,
  localConcurrency: 2,
  burstWhenBatchFull: true,
  pollingIntervalSeconds: 0.5
} satisfies WorkOptions
export const throughputSettings =
  "batchSize 1000, localConcurrency 2, burstWhenBatchFull, pool of 10; keeps what is done"

export const fill = (made: PgBoss, count: number) =>
  Effect.promise(async () => {
    for (const part of parts(count, 1000)) await made.insert(queue, part.map((n) => ({ data: payload(n) })))
  })

export const pgBoss: Open = (url) =>
  Effect.gen(function*() {
    const made = yield* boss(url)
    const calls = countUntil()
    return {
      fill: (count) => fill(made, count),
      drain: (count) =>
        Effect.promise(() => made.work(queue, throughput, async (jobs) => calls.hit(jobs.length))).pipe(
          Effect.andThen(calls.until(count)),
          // Waits until what is under way is completed.
          Effect.andThen(Effect.promise(() => made.offWork(queue, { wait: true })))
        ),
      check: mustHold(url, `NOT EXISTS (SELECT FROM pgboss.job WHERE name = '${queue}' AND state < 'completed')`)
    }
  })

/** `send` with the transaction's connection, as its docs show it. */
const emittingTo = (queueOptions: { readonly notify?: boolean }): OpenEmitter => (url, connections) =>
  Effect.gen(function*() {
    const made = yield* boss(url, {}, queueOptions)
    const pgPool = yield* pool(url, connections)
    return inTransaction(
      pgPool,
      (client, n) => made.send(queue, payload(n), { db: { executeSql: (text, values) => client.query(text, values) } })
    )
  })

export const emitting = emittingTo({})

/** The queue tells by NOTIFY; its fetches take what is there. */
const latencyQueue = { notify: true }
export const emittingWithNotify = emittingTo(latencyQueue)
export const latencySettings = "useListenNotify and a queue with notify, batchSize 100, localConcurrency 4, pool of 10"
export const work: Work = (url, took) =>
  Effect.gen(function*() {
    const made = yield* boss(url, { useListenNotify: true }, latencyQueue)
    yield* Effect.promise(() =>
      made.work<Payload>(
        queue,
        { batchSize: 100, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
        async (jobs) => {
          for (const { data } of jobs) took(numberOf(data))
        }
      )
    )
  })
