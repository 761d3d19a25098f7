/** What a processor looks after between deliveries: deadlines that have passed, and entries that have to be delivered alone. */
import type { Database } from "@zakops/migrations/Database"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { hasSuspect } from "../claiming/dueSuspect.ts"
import { deadlinePassed } from "../EntryLifecycle.ts"
import { expireEntries } from "./expireEntries.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"
import type { Tally } from "../workers/Tally.ts"

/**
 * `now` does it at once; `atTimes` at most once in the interval, and gives nothing otherwise. The deadlines of all routes are looked after
 * with those of the main destination.
 */
export const tidyUp = (
  db: Database,
  destination: string,
  route: string | null,
  tally: Tally,
  interval: Duration.Duration
) => {
  const expire = route === null ? expireEntries(db, destination) : Effect.succeed([])
  const suspects = hasSuspect(db, destination, route)
  const now = Effect.gen(function*() {
    const expired = yield* expire
    yield* tally.record({ ...ProcessorCounts.none, dead: expired.length })
    yield* Effect.forEach(expired, ({ id }) => Effect.logError(`outbox entry ${id} is dead: ${deadlinePassed}`))
    return { dead: expired.length, suspects: yield* suspects }
  })
  let next = 0
  const atTimes = Effect.gen(function*() {
    const time = yield* Clock.currentTimeMillis
    if (time < next) return { dead: 0, suspects: false }
    next = time + Duration.toMillis(interval)
    return yield* now
  })
  return { now, atTimes }
}
