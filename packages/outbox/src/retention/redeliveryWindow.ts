/**
 * For how long the same event may come to its consumers again, and so how long the inbox has to remember it.
 *
 * All attempts, the time in which the dead letter may be redriven, and all attempts once more. What has no bound is not in it: a
 * destination that is down, workers that are switched off, a second redrive.
 */
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import { replay } from "@zakops/events/RetrySchedule"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { OutboxSettings } from "../OutboxConfig.ts"
import { InvalidSetting } from "../InvalidSetting.ts"

type Settings = Pick<
  OutboxSettings,
  "maxAttempts" | "publishTimeout" | "lease" | "retentionInbox" | "retentionDead" | "redriveWindow"
>

/** From the first attempt to the end of the last: each may hang until its timeout, and its worker die then, under a fresh lease. */
export const retryWindow = Effect.fnUntraced(function*(settings: Settings, policy: RetrySchedule) {
  const { lease, maxAttempts, publishTimeout } = settings
  const waits = yield* replay(policy, maxAttempts - 1)
  const attempts = waits.length + 1
  return waits.reduce(Duration.sum, Duration.times(Duration.sum(publishTimeout, lease), attempts))
})

/** How old a dead letter may be that is redriven: as old as it gets, or where that is for ever, as `OUTBOX_REDRIVE_WINDOW` says. */
export const redriveWindow = ({ redriveWindow, retentionDead }: Settings) =>
  Duration.isFinite(retentionDead) ? retentionDead : redriveWindow

const inDays = (duration: Duration.Duration) => Math.ceil(Duration.toDays(duration) * 10_000) / 10_000

/** Fails with `InvalidSetting` where `OUTBOX_RETENTION_INBOX` is shorter than the window. */
export const requireInboxAge = Effect.fnUntraced(function*(settings: Settings, policy: RetrySchedule) {
  const { retentionDead, retentionInbox } = settings
  if (!Duration.isFinite(retentionInbox)) return
  const retries = yield* retryWindow(settings, policy)
  const redrive = redriveWindow(settings)
  const least = Duration.sum(Duration.times(retries, 2), redrive)
  if (Duration.isGreaterThanOrEqualTo(retentionInbox, least)) return
  const byWhat = Duration.isFinite(retentionDead) ? "OUTBOX_RETENTION_DEAD" : "OUTBOX_REDRIVE_WINDOW"
  return yield* new InvalidSetting({
    variable: "OUTBOX_RETENTION_INBOX",
    value: String(Duration.toDays(retentionInbox)),
    allowed:
      `never, or at least ${inDays(least)} days: twice the ${
        inDays(retries)
      } days that ${settings.maxAttempts} attempts take ` +
      `(OUTBOX_MAX_ATTEMPTS), and ${inDays(redrive)} days in which a dead letter may be redriven (${byWhat})`
  })
})
