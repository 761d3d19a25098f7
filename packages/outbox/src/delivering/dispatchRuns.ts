/**
 * Takes runs of entries to the publisher, in the order that they were claimed in: no more than so many wait for an answer at once, and each
 * answer is given the same time.
 *
 * One fiber begins all of them, and what has to be waited for calls back. (A fiber and a permit for each run: 33 against 12 microseconds an
 * entry, where the destination answers at once.)
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import type { Answer } from "./attemptDelivery.ts"
import type { Doing, Run, Waiting } from "./attemptRun.ts"
import { beginRun, endAttempt } from "./attemptRun.ts"
import { OpenCalls } from "./OpenCalls.ts"

/** Of an effect that is its value. */
const valueOf = <A>(effect: Effect.Effect<A>): A | undefined =>
  Exit.isExit(effect) && Exit.isSuccess(effect) ? effect.value as A : undefined

/**
 * Runs in the scope until it closes. `abandon` interrupts all that has begun, and waits for no answer.
 *
 * @param timeout  what each answer is given
 * @param handBack is given a run whose delivery has died, to end what has not ended of it
 */
export const dispatchRuns = Effect.fnUntraced(function*({ concurrency, doing, handBack, timeout }: {
  readonly concurrency: number
  readonly timeout: Duration.Duration
  readonly doing: Doing
  readonly handBack: (run: Run) => void
}) {
  const deliveries = yield* FiberSet.make()
  const fork = yield* FiberSet.runtime(deliveries)()

  const calls = new OpenCalls(Duration.toMillis(timeout))
  yield* Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.suspend(() => Effect.sleep(calls.expire(now)))
  ).pipe(Effect.forever, Effect.forkScoped)

  const runs = yield* Queue.unbounded<Run>()
  let waiting = 0
  const answers = yield* Queue.sliding<void>(1)
  let beginnerWaits = false
  const mayCall: Effect.Effect<void> = Effect.suspend(() => {
    beginnerWaits = waiting >= concurrency
    return beginnerWaits ? Effect.andThen(Queue.take(answers), mayCall) : Effect.void
  })
  const over = () => {
    waiting--
    if (beginnerWaits) Queue.offerUnsafe(answers, void 0)
  }

  const orHandBack = (run: Run) =>
    Effect.catchCause((cause: Cause.Cause<never>) => {
      if (Cause.hasInterrupts(cause)) return Effect.failCause(cause)
      handBack(run)
      over()
      return Effect.logError("a delivery died, its entries are handed back", cause)
    })
  /** Begins what is left of a run; what has to be waited for calls back. */
  const begin = (run: Run, from: number): Effect.Effect<void> =>
    Effect.uninterruptible(Effect.flatMap(beginRun(run, from, doing), (call) =>
      Clock.clockWith((clock) => {
        if (call === undefined) over()
        else calls.add(call.calling, clock.currentTimeMillisUnsafe(), (answer) => hear(run, call, answer))
        return Effect.void
      }))).pipe(orHandBack(run))
  const hear = (run: Run, { calling, index }: Waiting, answer: Answer) => {
    const concluded = calling.conclude(answer)
    const done = valueOf(concluded)
    if (done === undefined) {
      const goOn = Effect.flatMap(
        concluded,
        (done) => endAttempt(run, index, done, doing) ? begin(run, index + 1) : Effect.sync(over)
      )
      fork(orHandBack(run)(goOn))
    } else if (endAttempt(run, index, done, doing)) fork(begin(run, index + 1))
    // Nearly always: the last of its run, and delivered.
    else over()
  }

  const beginRuns = Effect.gen(function*() {
    for (const run of yield* Queue.takeAll(runs)) {
      if (waiting >= concurrency) yield* mayCall
      waiting++
      yield* begin(run, 0)
    }
  })
  yield* FiberSet.run(deliveries, Effect.forever(beginRuns))

  return {
    dispatch: (begun: ReadonlyArray<Run>) => Queue.offerAll(runs, begun),
    abandon: Effect.andThen(FiberSet.clear(deliveries), Effect.sync(() => calls.abandon()))
  }
})
