/** One attempt to deliver one entry to an external publisher, and what it means for the entry. */
import type { External, PublishError } from "@zakops/events/EventPublisher"
import { Transient } from "@zakops/events/EventPublisher"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { Command, decide, leaseExpired } from "./EntryLifecycle.ts"
import type { Fact } from "./EntryLifecycle.ts"
import { asProcessing } from "./OutboxEntry.ts"
import type { ClaimedEntry } from "./OutboxEntry.ts"
import type { RetrySchedule } from "./RetryPolicy.ts"
import { waitAfter } from "./RetryPolicy.ts"

/** What is to be settled; `transportDown` is set when the destination took nothing at all, and says why. */
export interface Attempt {
  readonly entry: ClaimedEntry
  readonly fact: Fact
  readonly transportDown: Option.Option<string>
}

/** The entry goes back untried. */
export const handBack = (entry: ClaimedEntry, transportDown: Option.Option<string> = Option.none()): Attempt =>
  settle(entry, Command.HandBack({ claimId: entry.claimId }), transportDown)

/**
 * Calls the publisher, unless the entry shows without it that the attempt has failed. Never fails: what goes wrong is the attempt's outcome.
 */
export const attemptDelivery = (publisher: External, policy: RetrySchedule, timeout: Duration.Duration) => {
  const noAnswer = new Transient({ reason: `no answer from ${publisher.destination} within ${Duration.format(timeout)}` })

  const fail = (entry: ClaimedEntry, error: string, permanent: boolean) =>
    Effect.map(waitAfter(policy, entry.attempts), (wait) =>
      settle(entry, Command.Fail({ claimId: entry.claimId, error, permanent, wait })))

  return Effect.fnUntraced(function*(entry: ClaimedEntry) {
    if (entry.expired) return yield* fail(entry, leaseExpired, false)
    // Trying again would read the same row.
    if (Result.isFailure(entry.envelope)) return yield* fail(entry, entry.envelope.failure, true)
    const exit = yield* publisher.publish(entry.envelope.success).pipe(
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(noAnswer) }),
      Effect.exit
    )
    if (Exit.isSuccess(exit)) return settle(entry, Command.Succeed({ claimId: entry.claimId }))
    const error = Cause.findErrorOption(exit.cause)
    if (Option.isNone(error)) return yield* fail(entry, `the publisher died: ${Cause.pretty(exit.cause)}`, false)
    const words = inWords(error.value)
    return error.value._tag === "TransportDown"
      ? handBack(entry, Option.some(words))
      : yield* fail(entry, words, error.value._tag === "Permanent")
  })
}

const inWords = ({ cause, reason }: PublishError): string =>
  cause === undefined ? reason : `${reason}: ${cause instanceof Error ? cause.message : String(cause)}`

// Nobody else can settle what is held here, so the lifecycle cannot refuse.
const settle = (entry: ClaimedEntry, command: Command, transportDown: Option.Option<string> = Option.none()): Attempt => ({
  entry,
  fact: Result.getOrThrow(decide(asProcessing(entry), command)),
  transportDown
})
