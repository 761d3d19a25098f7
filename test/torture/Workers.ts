/** The three workers, under a supervisor that starts each again as soon as it has ended, however it has. */
import * as Effect from "effect/Effect"
import type { Child, Start } from "./processes.ts"
import { endNow, startChild } from "./processes.ts"
import type { Told } from "./workerProcess.ts"

/** From start to end of one process, in milliseconds. */
export interface Life {
  readonly worker: number
  readonly pid: number
  readonly from: number
  ready: boolean
  to: number | undefined
  /** Whether somebody wanted it to end. */
  wanted: boolean
  code: number | null
}

interface Post {
  child: Child
  life: Life
  /** It does not run, because it was sent SIGSTOP. */
  stopped: boolean
}

const restartAfter = 200

/** @param stoodStill is told of a process that did not run for so many milliseconds up to now, for whatever reason */
export const makeWorkers = (start: (worker: number) => Start, stoodStill: (pid: number, millis: number) => void) =>
  Effect.gen(function*() {
    const lives: Array<Life> = []
    const memory: Array<{ readonly worker: number; readonly at: number; readonly bytes: number }> = []
    const stoppedReaders: Array<string> = []
    const clocks: Array<{ readonly worker: number; readonly off: number }> = []
    let closing = false

    const man = (worker: number): Post => {
      const life: Life = { worker, pid: 0, from: Date.now(), ready: false, to: undefined, wanted: false, code: null }
      const child = startChild({
        ...start(worker),
        hear: (message) => {
          const told = message as Told
          if ("memory" in told) memory.push({ worker, at: Date.now(), bytes: told.memory })
          else if ("stopped" in told) stoppedReaders.push(told.stopped)
          else if ("stoodStill" in told) stoodStill(life.pid, told.stoodStill)
          else {
            life.ready = true
            clocks.push({ worker, off: told.clock - Date.now() })
          }
        }
      })
      const post: Post = { child, life: Object.assign(life, { pid: child.pid }), stopped: false }
      lives.push(post.life)
      child.process.once("exit", (code) => {
        life.to = Date.now()
        life.code = code
        if (closing) return
        setTimeout(() => {
          if (!closing) posts[worker] = man(worker)
        }, restartAfter)
      })
      return post
    }

    const posts: Array<Post> = []
    for (const worker of [0, 1, 2]) posts.push(man(worker))

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closing = true
        return Effect.forEach(posts, ({ child }) => endNow(child), { discard: true, concurrency: "unbounded" })
      })
    )

    const post = (worker: number) => posts[worker] as Post
    const isUp = (worker: number) => {
      const { life, stopped } = post(worker)
      return life.ready && !stopped && life.to === undefined
    }

    return {
      lives,
      memory,
      stoppedReaders,
      clocks,
      isUp,
      pidOf: (worker: number) => post(worker).child.pid,
      allUp: Effect.gen(function*() {
        while (![0, 1, 2].every(isUp)) yield* Effect.sleep("50 millis")
      }),
      kill: (worker: number) =>
        Effect.suspend(() => {
          const { child, life } = post(worker)
          life.wanted = true
          return Effect.as(endNow(child), child.pid)
        }),
      /** SIGTERM: waits until it has ended, and gives how many milliseconds that took. */
      terminate: (worker: number) =>
        Effect.gen(function*() {
          const { child, life } = post(worker)
          life.wanted = true
          const from = Date.now()
          child.process.kill("SIGTERM")
          yield* child.ended
          return { pid: child.pid, millis: Date.now() - from, code: child.process.exitCode }
        }),
      freeze: (worker: number) =>
        Effect.sync(() => {
          const here = post(worker)
          here.stopped = true
          here.child.process.kill("SIGSTOP")
          return here.child.pid
        }),
      thaw: (worker: number) =>
        Effect.sync(() => {
          const here = post(worker)
          here.child.process.kill("SIGCONT")
          here.stopped = false
        }),
      /** Tells all of them to stop, for good. */
      dismiss: Effect.suspend(() => {
        closing = true
        return Effect.forEach(
          posts,
          ({ child, life }) => {
            life.wanted = true
            child.process.kill("SIGTERM")
            return child.ended
          },
          { discard: true, concurrency: "unbounded" }
        )
      })
    }
  })

export type Workers = Effect.Success<ReturnType<typeof makeWorkers>>
