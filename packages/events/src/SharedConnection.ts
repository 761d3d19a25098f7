/**
 * One connection that many calls share: opened when the first of them needs it, once for all that ask meanwhile, and anew after it was lost.
 *
 * Nothing is tried in the background and nothing is queued: while there is no connection, a call that opens one in vain fails with
 * `TransportDown`, and whoever delivers probes as it sees fit. What was on its way when a connection broke fails with it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

export interface SharedConnection<out C, out E> {
  /** The connection that is open, or a new one. Fails as opening does. */
  readonly get: Effect.Effect<C, E>
}

type State<C, E> =
  | { readonly _tag: "Closed" }
  | { readonly _tag: "Opening"; readonly opened: Deferred.Deferred<C, E> }
  | { readonly _tag: "Open"; readonly connection: C; readonly get: Effect.Effect<C> }

/**
 * Closes with the scope.
 *
 * @param open opens a connection, which closes with its own scope, and calls `lost` when it is of no more use. It has to give up by itself
 *             after a while: everybody waits for it.
 */
export const make = <C, E>(
  open: (lost: () => void) => Effect.Effect<C, E, Scope.Scope>
): Effect.Effect<SharedConnection<C, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const whole = yield* Effect.scope
    let state: State<C, E> = { _tag: "Closed" }
    let last: Scope.Closeable | undefined

    const openInto = Effect.fnUntraced(function*(opened: Deferred.Deferred<C, E>) {
      // Of the one that was lost, there may be a socket left.
      if (last !== undefined) yield* Scope.close(last, Exit.void)
      const own = yield* Scope.fork(whole)
      last = own
      let usable = true
      const exit = yield* Effect.exit(Scope.provide(
        open(() => {
          usable = false
          if (last === own && state._tag === "Open") state = { _tag: "Closed" }
        }),
        own
      ))
      state = Exit.isSuccess(exit) && usable
        ? { _tag: "Open", connection: exit.value, get: Effect.succeed(exit.value) }
        : { _tag: "Closed" }
      yield* Deferred.done(opened, exit)
    })

    const get: Effect.Effect<C, E> = Effect.suspend(() => {
      if (state._tag === "Open") return state.get
      if (state._tag === "Opening") return Deferred.await(state.opened)
      const opened = Deferred.makeUnsafe<C, E>()
      state = { _tag: "Opening", opened }
      // In a fiber of its own: the others go on waiting when the first is interrupted.
      return Effect.andThen(
        Effect.forkIn(openInto(opened), whole, { startImmediately: true }),
        Deferred.await(opened)
      )
    })
    return { get }
  })
