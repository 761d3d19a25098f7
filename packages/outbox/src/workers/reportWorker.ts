/** Reports a running worker every 5 seconds, from its start until it stops. What cannot be reported waits for the next time. */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { beat, betweenBeats, leave } from "./beat.ts"
import type { Identity, Vitals } from "./beat.ts"
import type { Tally, Totals } from "./Tally.ts"

/** How long a stopping worker gives the database to take it off the list; otherwise it counts as gone after some seconds. */
const leaveLimit = Duration.seconds(1)

/** How much the last five seconds count for the rate. */
const weight = 0.5

const difference = (a: Totals, b: Totals): Totals => ({
  delivered: a.delivered - b.delivered,
  failed: a.failed - b.failed,
  dead: a.dead - b.dead,
  fenced: a.fenced - b.fenced,
  routed: a.routed - b.routed
})

/** Runs in the scope until it closes. To be started before what it reports on, so that it ends after that. */
export const reportWorker = Effect.fnUntraced(function*(
  db: Database,
  worker: Omit<Identity, "id">,
  tally: Tally,
  vitals: Effect.Effect<Omit<Vitals, "perSecond">>
) {
  const identity: Identity = { ...worker, id: randomUUID() }
  const write = beat(db, identity)
  let reported = tally.totals
  let last = yield* Clock.currentTimeMillis
  let perSecond = 0

  const report = Effect.gen(function*() {
    const { totals } = tally
    const since = difference(totals, reported)
    const now = yield* Clock.currentTimeMillis
    if (now > last) perSecond += (since.delivered * 1000 / (now - last) - perSecond) * weight
    // What stands still is not to fade for ever.
    if (perSecond < 0.01) perSecond = 0
    yield* write({ ...(yield* vitals), perSecond }, totals, since)
    reported = totals
    last = now
  }).pipe(
    SqlErrors.lostAsFailure,
    Effect.catch((error) => Effect.logDebug(`a worker could not report itself: ${SqlErrors.serverText(error)}`)),
    Effect.catchDefect((defect) => Effect.logError("a worker could not report itself: a defect", defect))
  )

  yield* Effect.addFinalizer(() =>
    Effect.ignore(Effect.timeoutOption(
      Effect.interruptible(Effect.andThen(report, SqlErrors.lostAsFailure(leave(db, identity)))),
      leaveLimit
    ))
  )
  yield* report.pipe(Effect.andThen(Effect.sleep(betweenBeats)), Effect.forever, Effect.forkScoped)
})
