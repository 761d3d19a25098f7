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
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import type { InvalidSetting } from "./InvalidSetting.ts"
import { listen } from "./connecting/listen.ts"
import { notifier } from "./connecting/Notifications.ts"

export class Wakeup extends Context.Service<Wakeup, {
  /** To be run after entries were committed. Returns at once. */
  readonly announce: Effect.Effect<void>
  /** As `announce`, and notifies those who listen on another channel as well, in the same statement. */
  readonly announceWith: (channel: string) => Effect.Effect<void>
  /** Starts to watch; the effect that it gives waits for the next announcement since it was last run. */
  readonly watch: Effect.Effect<Effect.Effect<void>, never, Scope.Scope>
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
      // One pending signal for each watcher is enough: it says no more than "look again".
      const signals = yield* PubSub.sliding<void>(1)
      const here = Effect.asVoid(PubSub.publish(signals, void 0))
      const notify = yield* notifier
      const client = yield* PgClient
      let listening = false
      const onState = (now: boolean) => {
        listening = now
      }
      return {
        announce: Effect.andThen(here, notify(channel)),
        announceWith: (other) => Effect.andThen(here, notify(channel, other)),
        watch: Effect.map(PubSub.subscribe(signals), (subscription) => PubSub.take(subscription)),
        listenToOthers: Effect.provideService(listen(channel, here, onState), PgClient, client),
        isListening: Effect.sync(() => listening)
      }
    })
  )
}
