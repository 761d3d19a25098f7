/** One attempt to deliver one entry to an external publisher, and what it means for the entry. */
import type { External, PublishError } from "@zakops/events/EventPublisher"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { Command, decide, leaseExpired } from "./EntryLifecycle.ts"
import type { Fact } from "./EntryLifecycle.ts"
import { asProcessing } from "./OutboxEntry.ts"
import type { shadowSink } from "./shadowSink.ts"
import type { ClaimedEntry } from "./OutboxEntry.ts"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import { waitAfter } from "@zakops/events/RetrySchedule"

/** What an attempt shows of the destination: it answered, good or bad; it is down, in its own words; or nothing was heard of it. */
export type Heard = { readonly _tag: "Answer" } | { readonly _tag: "Down"; readonly reason: string } | {
  readonly _tag: "Nothing"
}

/** What is to be settled. */
export interface Attempt {
  readonly entry: ClaimedEntry
  readonly fact: Fact
  readonly heard: Heard
}

const answered: Heard = { _tag: "Answer" }
const nothing: Heard = { _tag: "Nothing" }

/** The entry goes back untried. */
export const handBack = (entry: ClaimedEntry): Attempt =>
  settle(entry, Command.HandBack({ claimId: entry.claimId }), nothing)

/**
 * Calls the publisher, unless the entry shows without it that the attempt has failed. Never fails: what goes wrong is the attempt's
 * outcome.
 */
export const attemptDelivery = (
  publisher: External,
  compare: ReturnType<typeof shadowSink>,
  policy: RetrySchedule,
  timeout: Duration.Duration
) => {
  const fail = (entry: ClaimedEntry, error: string, heard: Heard, permanent = false) =>
    Effect.map(
      waitAfter(policy, entry.attempts),
      (wait) => settle(entry, Command.Fail({ claimId: entry.claimId, error, permanent, wait }), heard)
    )

  return Effect.fnUntraced(function*(entry: ClaimedEntry) {
    if (entry.expired) return yield* fail(entry, leaseExpired, nothing)
    // Trying again would read the same row.
    if (Result.isFailure(entry.envelope)) return yield* fail(entry, entry.envelope.failure, nothing, true)
    // The comparison says nothing about the destination.
    const answer = entry.shadow ? nothing : answered
    const deliver = entry.shadow ? compare : publisher.publish
    const exit = yield* deliver(entry.envelope.success).pipe(
      Effect.asSome,
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.succeedNone }),
      Effect.exit
    )
    if (Exit.isSuccess(exit)) {
      return Option.isSome(exit.value)
        ? settle(entry, Command.Succeed({ claimId: entry.claimId }), answer)
        : yield* fail(entry, `no answer from ${publisher.destination} within ${Duration.format(timeout)}`, nothing)
    }
    const error = Cause.findErrorOption(exit.cause)
    if (Option.isNone(error)) return yield* fail(entry, `the publisher died: ${Cause.pretty(exit.cause)}`, nothing)
    const { claimId } = entry
    const words = inWords(error.value)
    switch (error.value._tag) {
      case "TransportDown":
        return settle(entry, Command.HandBack({ claimId }), { _tag: "Down", reason: words })
      case "NewerThanThisBuild":
        return settle(entry, Command.Park({ claimId, error: words, wait: parkedFor }), answer)
      default:
        return yield* fail(entry, words, answer, error.value._tag === "Permanent")
    }
  })
}

// A rolling deployment brings the newer build within minutes; until then, one look a minute costs nothing.
const parkedFor = Duration.minutes(1)

const inWords = (error: PublishError): string =>
  error._tag === "NewerThanThisBuild" || error.cause === undefined
    ? error.message
    : `${error.message}: ${error.cause instanceof Error ? error.cause.message : String(error.cause)}`

// Nobody else can settle what is held here, so the lifecycle cannot refuse.
const settle = (entry: ClaimedEntry, command: Command, heard: Heard): Attempt => ({
  entry,
  fact: Result.getOrThrow(decide(asProcessing(entry), command)),
  heard
})
