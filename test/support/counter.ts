/** A small aggregate for tests: a counter that refuses to go below zero. */
import * as Decider from "@zakops/event-store/Decider"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

export const Added = EventDefinition.make("counter.added", {
  aggregateType: "counter",
  payload: Schema.Struct({ by: Schema.Int })
})
export const Taken = EventDefinition.make("counter.taken", {
  aggregateType: "counter",
  payload: Schema.Struct({ by: Schema.Int })
})

export type Command = { readonly add: number } | { readonly take: number } | {
  readonly add: number
  readonly times: number
}

export class BelowZero extends Data.TaggedError("BelowZero")<{ readonly counter: number }> {}

const definition = (snapshot?: Decider.SnapshotPolicy<number>) => ({
  aggregateType: "counter",
  definitions: [Added, Taken],
  initial: 0,
  decide: (command: Command, counter: number) => {
    if ("take" in command) {
      return command.take > counter
        ? Result.fail(new BelowZero({ counter }))
        : Result.succeed([Taken.of({ by: command.take })])
    }
    const times = "times" in command ? command.times : 1
    return Result.succeed(command.add === 0 ? [] : Array.from({ length: times }, () => Added.of({ by: command.add })))
  },
  evolve: (counter: number, event: EventDefinition.HappeningOf<typeof Added | typeof Taken>) =>
    event.type === "counter.added" ? counter + event.data.by : counter - event.data.by,
  snapshot
} as const)

export const Counter = Decider.make(definition())

export const counterWithSnapshots = (version: number, state: Schema.Codec<number, unknown> = Schema.Int) =>
  Decider.make(definition({ name: "count", version, state, every: 10 }))
