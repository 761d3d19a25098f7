/**
 * Tells processors that entries may be due: those of this process at once, those of others through Postgres.
 *
 * Only a hint. A processor that misses it finds the entry at the next due time or poll.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { InvalidSetting } from "./InvalidSetting.ts"
import { listen } from "./connecting/listen.ts"
import { notifier } from "./connecting/Notifications.ts"
import type { CommitNotice } from "./Transaction.ts"

export class Wakeup extends Context.Service<Wakeup, {
  /** To be run after entries were committed. Returns at once. */
  readonly announce: Effect.Effect<void>
  /** As `announce`, for a transaction that tells of its COMMIT; those of other processes wake up while that is under way. */
  readonly notice: CommitNotice
  /** As `announce`, and notifies those who listen on another channel as well, in the same statement. */
  readonly announceWith: (channel: string) => Effect.Effect<void>
  /** A bell that rings at each announcement, until the scope closes. It may be rung for other reasons as well. */
  readonly watch: Effect.Effect<Queue.Queue<void>, never, Scope.Scope>
  /** Passes announcements of other processes on to the watchers here, as long as the scope is open. */
  readonly listenToOthers: Effect.Effect<void, InvalidSetting, Scope.Scope>
  /** Whether announcements of other processes are heard at the moment. */
  readonly isListening: Effect.Effect<boolean>
}>()("@zakops/outbox/Wakeup") {
  static readonly layer = Layer.effect(
    Wakeup,
    Effect.gen(function*() {
      const { schema } = yield* Database.make
      const channel = `${schema}_outbox`
      const bells = new Set<Queue.Queue<void>>()
      const wakeHere = () => {
        for (const bell of bells) Queue.offerUnsafe(bell, void 0)
      }
      // One signal that waits is enough: it says no more than "look again".
      const watch = Effect.acquireRelease(
        Effect.tap(Queue.sliding<void>(1), (bell) => Effect.sync(() => bells.add(bell))),
        (bell) => Effect.sync(() => bells.delete(bell))
      )
      const { notify, notifyAhead } = yield* notifier
      const announce = (...others: ReadonlyArray<string>) => {
        wakeHere()
        notify(channel, ...others)
      }
      const client = yield* PgClient
      let listening = false
      const onState = (now: boolean) => {
        listening = now
      }
      return {
        notice: { committing: () => notifyAhead(channel), committed: () => announce() },
        announce: Effect.sync(() => announce()),
        announceWith: (other) => Effect.sync(() => announce(other)),
        watch,
        listenToOthers: Effect.provideService(listen(channel, Effect.sync(wakeHere), onState), PgClient, client),
        isListening: Effect.sync(() => listening)
      }
    })
  )
}
