/**
 * Specifies a decider in given / when / then, in any test runner: what does not hold throws an `AssertionError`. Pure, as the decider is.
 *
 * @example
 * const deal = DeciderSpecification.of(dealDecider)
 * deal.given(DealCreated.of({ dealId, title })).when({ _tag: "Win" }).then(DealWon.of({ dealId }))
 * deal.given().when({ _tag: "Win" }).thenRefuses(new NoSuchDeal())
 */
import type { Happening } from "@zakops/events/EventDefinition"
import * as Result from "effect/Result"
import assert from "node:assert/strict"
import type { Decider } from "../Decider.ts"
import { fold } from "../Decider.ts"

export const of = <Command, State, Event extends Happening<string, unknown>, E, R>(
  decider: Decider<Command, State, Event, E, R>
) => ({
  /** What has happened before. */
  given: (...history: ReadonlyArray<Event>) => ({
    when: (command: Command) => {
      const before = fold(decider, history)
      const decided = decider.decide(command, before)
      const events = () => {
        if (Result.isSuccess(decided)) return decided.success
        throw new assert.AssertionError({
          message: "the command was refused",
          actual: decided.failure,
          operator: "then"
        })
      }
      return {
        /** Exactly these events, in this order; none of them: nothing happens. */
        // oxlint-disable-next-line unicorn/no-thenable -- given, when, then: nobody awaits it
        then: (...expected: ReadonlyArray<Event>): void => assert.deepEqual(events(), expected),
        /** The command is refused with this error. */
        thenRefuses: (expected: E): void => {
          assert(Result.isFailure(decided), "the command was not refused")
          assert.deepEqual(decided.failure, expected)
        },
        /** The state after what the command made happen. */
        thenState: (expected: State): void => assert.deepEqual(fold(decider, events(), before), expected)
      }
    },
    /** The state that the history makes. */
    thenState: (expected: State): void => assert.deepEqual(fold(decider, history), expected)
  })
})
