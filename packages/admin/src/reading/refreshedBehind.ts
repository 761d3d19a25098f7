/**
 * A value that is costly to get, shared by all who ask: got anew behind the answer when it is older than `fresh`, waited for when it is
 * older than `stale` or there is none. Never two at once.
 *
 * While nobody asks nothing is done; or, with `KeepFigures`, it is got every `idle`, and before anybody can ask, so that whoever opens a page
 * waits for nothing: the first answer is as old as `idle` at most, and the next one is fresh.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/** Whether figures are read from the start on, also while nobody asks. A server of its own does; a mounted handler only if this is set. */
export const KeepFigures = Context.Reference<boolean>("@zakops/admin/KeepFigures", { defaultValue: () => false })

/** A database that does not answer keeps no server from starting for longer. */
const patience = Duration.seconds(2)

export const refreshedBehind = Effect.fnUntraced(function*<A, E>(
  self: Effect.Effect<A, E>,
  { fresh, idle, stale }: {
    readonly fresh: Duration.Input
    readonly stale: Duration.Input
    readonly idle: Duration.Input
  }
) {
  const scope = yield* Effect.scope
  const keeps = yield* KeepFigures
  const one = yield* Semaphore.make(1)
  const freshFor = Duration.toMillis(fresh)
  const idleFor = Duration.toMillis(idle)
  // Twice: one that is being got anew has the time that it takes.
  const staleAfter = keeps ? idleFor * 2 : Duration.toMillis(stale)
  let kept: { readonly value: A; readonly at: number } | undefined
  let refreshing = false

  const ageOf = (now: number) => kept === undefined ? Infinity : now - kept.at
  const renew = Effect.gen(function*() {
    const value = yield* self
    kept = { value, at: yield* Clock.currentTimeMillis }
    return value
  })
  // Whoever waited for another to get it takes what that one got.
  const wait = one.withPermits(1)(Effect.gen(function*() {
    return kept !== undefined && ageOf(yield* Clock.currentTimeMillis) <= freshFor ? kept.value : yield* renew
  }))
  const quietly = Effect.catchCause(wait, (cause) => Effect.logDebug("a figure was not refreshed", cause))
  const behind = Effect.suspend(() => {
    if (refreshing) return Effect.void
    refreshing = true
    const work = Effect.ensuring(
      quietly,
      Effect.sync(() => {
        refreshing = false
      })
    )
    return Effect.forkIn(work, scope)
  })

  if (keeps) {
    yield* Effect.timeoutOption(quietly, patience)
    const again = Effect.gen(function*() {
      const left = idleFor - ageOf(yield* Clock.currentTimeMillis)
      // One that could not be got is tried again after as long.
      yield* Effect.sleep(left > 0 ? left : idleFor)
      if (ageOf(yield* Clock.currentTimeMillis) >= idleFor) yield* quietly
    })
    yield* Effect.forkIn(Effect.forever(again), scope)
  }

  return Effect.gen(function*() {
    const age = ageOf(yield* Clock.currentTimeMillis)
    if (kept === undefined || age > staleAfter) return yield* wait
    if (age > freshFor) yield* behind
    return kept.value
  })
})
