/** graphile-worker 0.18: a row a job, which is deleted when it is done. */
import * as Effect from "effect/Effect"
import { Logger, makeWorkerUtils, run } from "graphile-worker"
import type { Pool } from "pg"
import { mustHold } from "../measure.ts"
import { numberOf, parts, payload } from "../payload.ts"
import type { Work } from "../workers.ts"
import type { Open } from "./Drainer.ts"
import { countUntil } from "./Drainer.ts"
import type { OpenEmitter } from "./Emitter.ts"
import { inTransaction, pool } from "./inTransaction.ts"

export const task = "price"
const silent = new Logger(() => () => {})

export const utils = (pgPool: Pool) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const made = await makeWorkerUtils({ pgPool, logger: silent })
      await made.migrate()
      return made
    }),
    (made) => Effect.promise(async () => made.release())
  )

/** What its docs recommend for throughput, with the values that were the fastest here. */
export const throughput = {
  concurrentJobs: 100,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0
}
export const throughputSettings =
  "concurrentJobs 100, localQueue.size 500, completeJobBatchDelay 0, pool of 10; deletes what is done"

/** A runner with these settings, for as long as the scope is open. */
export const runner = (pgPool: Pool, worker: GraphileConfig.WorkerOptions, handle: (payload: unknown) => void) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      run({
        pgPool,
        logger: silent,
        noHandleSignals: true,
        parsedCronItems: [],
        taskList: { [task]: handle },
        preset: { worker }
      })
    ),
    (running) => Effect.promise(() => running.stop())
  )

export const fill = (worker: Effect.Success<ReturnType<typeof utils>>, count: number) =>
  Effect.promise(async () => {
    for (const part of parts(count, 1000)) {
      await worker.addJobs(part.map((n) => ({ identifier: task, payload: payload(n) })))
    }
  })

export const graphileWorker: Open = (url) =>
  Effect.gen(function*() {
    const pgPool = yield* pool(url, 10)
    const made = yield* utils(pgPool)
    const calls = countUntil()
    return {
      fill: (count) => fill(made, count),
      // It stops when the last of them is deleted.
      drain: (count) =>
        Effect.scoped(Effect.andThen(runner(pgPool, throughput, () => calls.hit()), calls.until(count))),
      check: mustHold(url, "NOT EXISTS (SELECT FROM graphile_worker._private_jobs)")
    }
  })

/** `add_job` in the transaction, as its docs show it. */
export const emitting: OpenEmitter = (url, connections) =>
  Effect.gen(function*() {
    const pgPool = yield* pool(url, connections)
    yield* utils(pgPool)
    return inTransaction(pgPool, (client, n) =>
      client.query({
        name: "add_job",
        text: "SELECT graphile_worker.add_job($1, $2::json)",
        values: [task, JSON.stringify(payload(n))]
      }))
  })

export const latencySettings = "concurrentJobs 24, no local queue, pool of 26: LISTEN"
export const work: Work = (url, took) =>
  Effect.flatMap(
    pool(url, 26),
    (pgPool) =>
      runner(pgPool, { concurrentJobs: 24, maxPoolSize: 26, completeJobBatchDelay: 0 }, (data) => took(numberOf(data)))
  )

export const workInBatches: Work = (url, took) =>
  Effect.flatMap(pool(url, 10), (pgPool) => runner(pgPool, throughput, (data) => took(numberOf(data))))

export const openFilling = Effect.fnUntraced(function*(url: string) {
  const made = yield* utils(yield* pool(url, 10))
  return (from: number, count: number) =>
    Effect.promise(() =>
      made.addJobs(Array.from({ length: count }, (_, n) => ({ identifier: task, payload: payload(from + n) })))
    )
})
