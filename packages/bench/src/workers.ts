/** The workers that can run in a process of their own, on a database whose tables are there. */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ours from "./ours/worker.ts"
import * as graphile from "./peers/graphileWorker.ts"
import * as persisted from "./peers/persistedQueue.ts"
import * as boss from "./peers/pgBoss.ts"

/** Delivers in the scope; `took` is called with the number of each payload. */
export type Work = (url: string, took: (n: number) => void) => Effect.Effect<unknown, unknown, Scope.Scope>

export const workers = {
  zakops: ours.work,
  "zakops batches": ours.workInBatches,
  "graphile-worker": graphile.work,
  "graphile-worker batches": graphile.workInBatches,
  "pg-boss": boss.work,
  PersistedQueue: persisted.work
} satisfies Record<string, Work>

export type WorkerName = keyof typeof workers
