/** The process of a worker: delivers to a handler that counts, until it is told to stop, or whoever has begun it is gone. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import type { Received, Task } from "./workerProcess.ts"
import { sharedNow } from "./workerProcess.ts"
import { workers } from "./workers.ts"

const task: Task = JSON.parse(process.argv[2] ?? "")

let count = 0
let memory = 0
const times: Record<number, number> = {}

const look = () => {
  memory = Math.max(memory, process.memoryUsage.rss())
}
setInterval(look, 20).unref()

process.on("message", () => {
  look()
  process.send?.({ count, times, memory } satisfies Received)
})
process.on("disconnect", () => process.exit(0))

const took = (n: number) => {
  count++
  if (task.times) times[n] ??= sharedNow()
}

NodeRuntime.runMain(
  Effect.scoped(Effect.gen(function*() {
    yield* workers[task.worker](task.url, took)
    process.send?.("ready")
    return yield* Effect.never
  })),
  { disableErrorReporting: false }
)
