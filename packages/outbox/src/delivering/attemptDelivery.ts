/** One attempt to deliver one entry to an external publisher, and what it means for the entry. */
import type { External, PublishError } from "@zakops/events/EventPublisher"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Outcome } from "./AttemptOutcome.ts"
import { Command, deadlinePassed, decide, Fact, leaseExpired } from "../EntryLifecycle.ts"
import { asProcessing } from "../claiming/OutboxEntry.ts"
import type { ClaimedEntry } from "../claiming/OutboxEntry.ts"
import { waitFor } from "../RetryPolicy.ts"
import type { shadowSink } from "./shadowSink.ts"

/** What an attempt shows of the destination: it answered, good or bad; it is down, in its own words; or nothing was heard of it. */
export type Heard = { readonly _tag: "Answer" } | { readonly _tag: "Down"; readonly reason: string } | {
  readonly _tag: "Nothing"
}

/** What is to be settled. */
export interface Attempt {
  readonly entry: ClaimedEntry
  readonly fact: Fact
  readonly heard: Heard
  /** How it ended, for the history; undefined where it was delivered, or was never begun. */
  readonly outcome: Outcome | undefined
}

const answered: Heard = { _tag: "Answer" }
const nothing: Heard = { _tag: "Nothing" }

/**
 * The entry goes back untried. `begun`: the publisher had been called. What was taken over from a worker that is gone has had its attempt:
 * that stays failed, and is due again at once.
 */
export const handBack = (entry: ClaimedEntry, begun: boolean): Attempt => {
  const { claimId } = entry
  return entry.expired
    ? settle(
      entry,
      Command.Fail({ claimId, error: leaseExpired, permanent: false, wait: Option.some(Duration.zero) }),
      nothing,
      "lease_expired"
    )
    : settle(entry, Command.HandBack({ claimId }), nothing, begun ? "handed_back" : undefined)
}

/** The entry was claimed in time, but its deadline came before its turn: it is dead, and not charged for an attempt that was not made. */
export const missDeadline = (entry: ClaimedEntry): Attempt => ({
  entry,
  fact: Fact.Died({ error: deadlinePassed }),
  heard: nothing,
  outcome: "deadline_passed"
})

/**
 * Runs the call in a fiber of its own, so that an interruption is not kept waiting by a call that cannot be interrupted: it is left to
 * itself then.
 */
const leavable = <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkDetach(restore(call))
      return yield* Effect.onInterrupt(restore(Fiber.join(fiber)), () => Effect.forkDetach(Fiber.interrupt(fiber)))
    })
  )

/**
 * Calls the publisher, or `compare` for a copy in shadow mode, unless the entry shows without it that the attempt has failed. Never
 * fails: what goes wrong is the attempt's outcome.
 */
export const attemptDelivery = (
  publisher: External,
  compare: ReturnType<typeof shadowSink>,
  policy: RetrySchedule,
  timeout: Duration.Duration
) => {
  const fail = (
    entry: ClaimedEntry,
    error: string,
    heard: Heard,
    outcome: Outcome,
    how: { readonly permanent?: boolean; readonly retryAfter?: Duration.Duration | undefined } = {}
  ) =>
    Effect.map(
      Effect.catchDefect(waitFor(policy, entry, how.retryAfter), (defect) =>
        Effect.as(
          Effect.logError("the retry policy died, the entry waits a minute", defect),
          Option.some(Duration.minutes(1))
        )),
      (wait) =>
        settle(
          entry,
          Command.Fail({ claimId: entry.claimId, error, permanent: how.permanent === true, wait }),
          heard,
          outcome
        )
    )

  return Effect.fnUntraced(function*(entry: ClaimedEntry) {
    if (entry.expired) return yield* fail(entry, leaseExpired, nothing, "lease_expired")
    // Trying again would read the same row.
    if (Result.isFailure(entry.envelope)) {
      return yield* fail(entry, entry.envelope.failure, nothing, "failed", { permanent: true })
    }
    // The comparison says nothing about the destination.
    const [deliver, answer] = entry.shadow ? [compare, nothing] : [publisher.publish, answered]
    const envelope = entry.envelope.success
    // A publisher may also throw before it gives an effect.
    const exit = yield* leavable(Effect.suspend(() => deliver(envelope))).pipe(
      Effect.asSome,
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.succeedNone }),
      Effect.exit
    )
    if (Exit.isSuccess(exit)) {
      return Option.isSome(exit.value)
        ? settle(entry, Command.Succeed({ claimId: entry.claimId }), answer, undefined)
        : yield* fail(
          entry,
          `no answer from ${publisher.destination} within ${Duration.format(timeout)}`,
          nothing,
          "timed_out"
        )
    }
    const error = Cause.findErrorOption(exit.cause)
    if (Option.isNone(error)) {
      return yield* fail(entry, `the publisher died: ${Cause.pretty(exit.cause)}`, nothing, "failed")
    }
    const { claimId } = entry
    const words = inWords(error.value)
    switch (error.value._tag) {
      case "TransportDown":
        return settle(entry, Command.HandBack({ claimId }), { _tag: "Down", reason: words }, "handed_back")
      case "NewerThanThisBuild":
        return settle(entry, Command.Park({ claimId, error: words, wait: parkedFor }), answer, "parked")
      case "Permanent":
        return yield* fail(entry, words, answer, "failed", { permanent: true })
      case "Transient":
        return yield* fail(entry, words, answer, "failed", { retryAfter: error.value.retryAfter })
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
const settle = (entry: ClaimedEntry, command: Command, heard: Heard, outcome: Outcome | undefined): Attempt => ({
  entry,
  fact: Result.getOrThrow(decide(asProcessing(entry), command)),
  heard,
  outcome
})
