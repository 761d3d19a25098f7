/** One attempt to deliver one entry to an external publisher, and what it means for the entry. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import type { Operation } from "@zakops/events/MessageOperation"
import { isObserved, withOperation } from "@zakops/events/MessageOperation"
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

/** A call that got no answer, as telemetry is to see it. */
const timeoutAsFailure = <A, E>(exit: Exit.Exit<Option.Option<A>, E>) =>
  Exit.isSuccess(exit) && Option.isNone(exit.value) ? Exit.fail({ _tag: "timeout" }) : exit

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

const anAnswer: Heard = { _tag: "Answer" }
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

/** How a call has ended; undefined where it has not in the time that it is given. */
export type Answer = Exit.Exit<unknown, PublishError> | undefined

/** A call of the publisher that has begun, and waits for the destination's answer. */
export interface Calling {
  readonly call: Fiber.Fiber<unknown, PublishError>
  /** What the answer means for the entry: a value, and no effect that has to be run, where it was delivered. */
  readonly conclude: (answer: Answer) => Effect.Effect<Attempt>
}

/** An attempt that has begun: it has ended, or waits for the destination's answer. */
export type Begun = { readonly done: Attempt } | Calling

/**
 * What the fiber comes to. An interruption is not kept waiting by a call that cannot be interrupted: it is left to itself.
 */
const exitOf = <A, E>(call: Fiber.Fiber<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.onInterrupt(restore(Fiber.await(call)), () => Effect.forkDetach(Fiber.interrupt(call)))
  )

/** What a call gives that has seen by itself that there was no answer in time. */
const noAnswer = Symbol("no answer")

/** What the call comes to within the time that it is given; none where there is no answer. */
const inTime = <A, E>(call: Fiber.Fiber<A, E>, timeout: Duration.Duration): Effect.Effect<Option.Option<A>, E> =>
  Effect.timeoutOption(Effect.flatten(exitOf(call)), timeout)

/** Waits for the answer, so long as it may take. */
export const answered = ({ call, conclude }: Calling, timeout: Duration.Duration): Effect.Effect<Attempt> =>
  Effect.flatMap(
    Effect.exit(inTime(call, timeout)),
    (exit) => conclude(Exit.isSuccess(exit) ? Option.getOrUndefined(Option.map(exit.value, Exit.succeed)) : exit)
  )

/**
 * Calls the publisher, or `compare` for a copy in shadow mode, unless the entry shows without it that the attempt has failed. Never
 * fails: what goes wrong is the attempt's outcome. Not to be interrupted itself, but for the wait for an answer.
 */
export const attemptDelivery = (
  publisher: External,
  compare: ReturnType<typeof shadowSink>,
  policy: RetrySchedule,
  timeout: Duration.Duration
) => {
  const { destination, system } = publisher
  const sending: Operation & { readonly name: "send" } = { name: "send", destination, system }
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

  /** What the destination's answer means. */
  const conclude = (entry: ClaimedEntry, exit: Exit.Exit<unknown, PublishError>): Effect.Effect<Attempt> => {
    // The comparison says nothing about the destination.
    const answer = entry.shadow ? nothing : anAnswer
    const { claimId } = entry
    if (Exit.isSuccess(exit)) return Effect.succeed(settle(entry, Command.Succeed({ claimId }), answer, undefined))
    const error = Cause.findErrorOption(exit.cause)
    if (Option.isNone(error)) {
      return fail(entry, `the publisher died: ${Cause.pretty(exit.cause)}`, nothing, "failed")
    }
    const words = inWords(error.value)
    switch (error.value._tag) {
      case "TransportDown":
        return Effect.succeed(
          settle(entry, Command.HandBack({ claimId }), { _tag: "Down", reason: words }, "handed_back")
        )
      case "NewerThanThisBuild":
        return Effect.succeed(
          settle(entry, Command.Park({ claimId, error: words, wait: parkedFor }), answer, "parked")
        )
      case "Permanent":
        return fail(entry, words, answer, "failed", { permanent: true })
      case "Transient":
        return fail(entry, words, answer, "failed", { retryAfter: error.value.retryAfter })
    }
  }

  const concludeInTime = (entry: ClaimedEntry, answer: Answer): Effect.Effect<Attempt> =>
    answer === undefined || (Exit.isSuccess(answer) && answer.value === noAnswer)
      ? fail(entry, `no answer from ${destination} within ${Duration.format(timeout)}`, nothing, "timed_out")
      : conclude(entry, answer)

  /** Runs `call` as a span, and within the time, so that the span ends with it. */
  const observed = (
    entry: ClaimedEntry,
    envelope: EventEnvelope,
    call: Effect.Effect<Fiber.Fiber<void, PublishError>>
  ): Effect.Effect<unknown, PublishError> =>
    Effect.map(
      withOperation(
        sending,
        [envelope],
        Effect.flatMap(call, (call) => inTime(call, timeout)),
        { "zakops.attempt": entry.attempts },
        timeoutAsFailure
      ),
      Option.getOrElse(() => noAnswer)
    )

  const done = (attempt: Effect.Effect<Attempt>): Effect.Effect<Begun> => Effect.map(attempt, (done) => ({ done }))

  return (entry: ClaimedEntry): Effect.Effect<Begun> => {
    if (entry.expired) return done(fail(entry, leaseExpired, nothing, "lease_expired"))
    // Trying again would read the same row.
    if (Result.isFailure(entry.envelope)) {
      return done(fail(entry, entry.envelope.failure, nothing, "failed", { permanent: true }))
    }
    const envelope = entry.envelope.success
    const deliver = entry.shadow ? compare : publisher.publish
    // A publisher may also throw before it gives an effect.
    const calling = Effect.forkDetach(Effect.suspend(() => deliver(envelope)), { startImmediately: true })
    const conclude = (answer: Answer) => concludeInTime(entry, answer)
    return Effect.withFiber((fiber) =>
      Effect.flatMap(
        !entry.shadow && isObserved(fiber)
          ? Effect.forkDetach(observed(entry, envelope, calling), { startImmediately: true })
          : calling,
        (call: Calling["call"]): Effect.Effect<Begun> => {
          // Where the answer is there at once, nobody has to wait for it, or to watch the time: a third of what a delivery costs this process.
          const exit = call.pollUnsafe()
          return exit === undefined ? Effect.succeed({ call, conclude }) : done(conclude(exit))
        }
      )
    )
  }
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
