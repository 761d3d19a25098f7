/**
 * An event-sourced aggregate as three pure parts: the state before anything happened, what a command makes happen, and what each
 * happening does to the state. (Jérémie Chassaing, "Functional Event Sourcing Decider".)
 *
 * Nothing here touches a database or a clock: `EventStore.execute` loads, decides and appends; `DeciderSpecification` tests it.
 */
import type { AnyEventDefinition, HappeningOf, ReadEvent, Services } from "@zakops/events/EventDefinition"
import { UndecodableEvent } from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { Happening } from "@zakops/events/EventDefinition"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"

/** How the state of long streams is kept, so that a load need not begin at the first event. Never needed for a right answer. */
export interface SnapshotPolicy<State> {
  /** What the state is, among those that other deciders fold the same streams to. At most 100 characters. */
  readonly name: string
  /** Raise it when the meaning of the state changes: older snapshots are then ignored. */
  readonly version: number
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever JSON the state is kept as
  readonly state: Schema.Codec<State, any>
  /** A snapshot is taken when at least this many events were appended since the last. */
  readonly every: number
}

export interface Decider<
  in Command,
  in out State,
  in out Event extends Happening<string, unknown>,
  out E,
  out R = never
> {
  readonly aggregateType: string
  /** The definitions of its events, by type. */
  readonly definitions: ReadonlyMap<string, AnyEventDefinition>
  readonly initial: State
  /** What happens because of the command: nothing, or events in this order; or why it is refused. */
  readonly decide: (command: Command, state: State) => Result.Result<ReadonlyArray<Event>, E>
  readonly evolve: (state: State, event: Event) => State
  readonly snapshot: SnapshotPolicy<State> | undefined
  /** Reads an event of the stream. A type that this decider does not know is refused: the state would be wrong without it. */
  readonly read: (envelope: EventEnvelope) => Effect.Effect<Event, ReadError, R>
}

type ReadError = Effect.Error<ReturnType<AnyEventDefinition["decode"]>>

/**
 * Joins the parts to a decider. `definitions` are all the events of the aggregate, of which `decide` and `evolve` take the union.
 *
 * @example
 * Decider.make({
 *   aggregateType: "deal",
 *   definitions: [DealCreated, DealWon],
 *   initial: { stage: "none" },
 *   decide: (command: CreateDeal | WinDeal, state) => Result.succeed([DealWon.of({ dealId: command.dealId })]),
 *   evolve: (state, event) => event.type === "deal.won" ? { stage: "won" } : state
 * })
 */
export const make = <Command, State, E, const D extends ReadonlyArray<AnyEventDefinition>>(parts: {
  readonly aggregateType: string
  readonly definitions: D
  readonly initial: State
  readonly decide: (command: Command, state: State) => Result.Result<ReadonlyArray<HappeningOf<D[number]>>, E>
  readonly evolve: (state: State, event: HappeningOf<D[number]>) => State
  readonly snapshot?: SnapshotPolicy<State> | undefined
}): Decider<Command, State, HappeningOf<D[number]>, E, Services<D[number]>> => {
  const definitions = new Map<string, AnyEventDefinition>(
    parts.definitions.map((definition) => [definition.type, definition])
  )
  const elsewhere = parts.definitions.find(({ aggregateType }) =>
    aggregateType !== null && aggregateType !== parts.aggregateType
  )
  if (elsewhere !== undefined) {
    throw new TypeError(
      `the decider of ${parts.aggregateType} cannot have ${elsewhere.type}, an event of ${elsewhere.aggregateType}`
    )
  }
  if (definitions.size < parts.definitions.length) {
    const types = parts.definitions.map(({ type }) => type)
    const twice = types.find((type, index) => types.indexOf(type) < index)
    throw new TypeError(`the decider of ${parts.aggregateType} has two definitions of ${twice}`)
  }
  const { snapshot } = parts
  if (snapshot !== undefined && (snapshot.name.length === 0 || snapshot.name.length > 100)) {
    throw new TypeError(
      `the name of a snapshot of ${parts.aggregateType} has 1 to 100 characters: ${JSON.stringify(snapshot.name)}`
    )
  }
  type Event = HappeningOf<D[number]>
  return {
    aggregateType: parts.aggregateType,
    definitions,
    initial: parts.initial,
    decide: parts.decide,
    evolve: parts.evolve,
    snapshot,
    read: (envelope) => {
      const definition = definitions.get(envelope.eventType)
      return definition === undefined
        ? new UndecodableEvent({
          eventId: envelope.id,
          eventType: envelope.eventType,
          version: envelope.schemaVersion,
          cause: new Error(`the decider of ${parts.aggregateType} knows no such event`)
        })
        : Effect.map(
          definition.decode(envelope) as Effect.Effect<ReadEvent<unknown>, ReadError, Services<D[number]>>,
          // The map gives the definition of this very type.
          ({ data }) => ({ type: definition.type, data }) as Event
        )
    }
  }
}

/** The state after `events`, from `state` on. */
export const fold = <Command, State, Event extends Happening<string, unknown>, E, R>(
  decider: Decider<Command, State, Event, E, R>,
  events: Iterable<Event>,
  state: State = decider.initial
): State => {
  let current = state
  for (const event of events) current = decider.evolve(current, event)
  return current
}
