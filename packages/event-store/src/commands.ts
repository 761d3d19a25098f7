/** Loading an aggregate from its events, and executing a command on it once. */
import type { Event, Happening, NewerThanThisBuild, UndecodableEvent } from "@zakops/events/EventDefinition"
import type { InvalidEvent } from "@zakops/events/InvalidEvent"
import type { Database } from "@zakops/migrations/Database"
import type { NewEntry } from "@zakops/outbox/emitting/Emission"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type { Decider } from "./Decider.ts"
import { fold } from "./Decider.ts"
import { readStream } from "./readStream.ts"
import type { UnreadableRow } from "./RecordedEvent.ts"
import type { Snapshot } from "./snapshots.ts"
import { findSnapshot, keepSnapshot } from "./snapshots.ts"
import type { ExpectedVersion, StreamId } from "./StreamId.ts"
import type { AppendOptions } from "./toStreamEntries.ts"

export interface Appended {
  /** The stream's version after the append. */
  readonly version: number
  /** The events' ids, in their order. */
  readonly ids: ReadonlyArray<string>
}

/** An aggregate as its events have made it. */
export interface Loaded<State> {
  readonly state: State
  /** 0 where nothing has happened yet. */
  readonly version: number
}

export type LoadError = SqlError | UnreadableRow | NewerThanThisBuild | UndecodableEvent

export interface Executed<State, Event> extends Loaded<State>, Appended {
  /** What the command made happen. */
  readonly events: ReadonlyArray<Event>
}

/** For a decider without snapshots. */
const nothingKept = { seen: "1:1:", snapshot: Option.none<never>() }

/**
 * @param parts `append` writes in the transaction that is open, or in one of its own; `pageSize` events are read at a time
 */
export const commands = <AppendError>(parts: {
  readonly db: Database
  readonly pageSize: number
  readonly toEntries: (
    stream: StreamId,
    events: ReadonlyArray<Event>,
    options: AppendOptions | undefined
  ) => Effect.Effect<ReadonlyArray<NewEntry>, InvalidEvent>
  readonly append: (
    stream: StreamId,
    expected: ExpectedVersion,
    entries: ReadonlyArray<NewEntry>
  ) => Effect.Effect<Appended, AppendError>
}) => {
  const { append, db, pageSize, toEntries } = parts
  const readPage = readStream(db)
  const find = findSnapshot(db)
  const keep = keepSnapshot(db)

  /** Folds the stream from its snapshot on, or from the beginning; none where the stream does not hold the snapshot's last event. */
  const foldFrom = Effect.fnUntraced(function*<Command, State, Event extends Happening<string, unknown>, E, R>(
    decider: Decider<Command, State, Event, E, R>,
    stream: StreamId,
    snapshot: Snapshot<State> | undefined
  ) {
    let { state, version } = snapshot ?? { state: decider.initial, version: 0 }
    // The last event of the snapshot is read again, to see that the stream still has it.
    let from = Math.max(version, 1)
    let size = pageSize
    while (size === pageSize) {
      const page = yield* readPage(stream, "forward", from, pageSize)
      if (snapshot !== undefined && from === snapshot.version && page[0]?.streamVersion !== from) return Option.none()
      for (const { envelope, streamVersion } of page) {
        if (streamVersion === null || streamVersion <= version) continue
        state = decider.evolve(state, yield* decider.read(envelope))
        version = streamVersion
      }
      from = version + 1
      size = page.length
    }
    return Option.some({ state, version, snapshotVersion: snapshot?.version ?? 0 })
  })

  const load = Effect.fnUntraced(function*<Command, State, Event extends Happening<string, unknown>, E, R>(
    decider: Decider<Command, State, Event, E, R>,
    stream: StreamId
  ) {
    const { seen, snapshot } = decider.snapshot === undefined ? nothingKept : yield* find(stream, decider.snapshot)
    const loaded = yield* foldFrom(decider, stream, Option.getOrUndefined(snapshot))
    return {
      seen,
      ...(Option.isSome(loaded) ? loaded.value : Option.getOrThrow(yield* foldFrom(decider, stream, undefined)))
    }
  })

  const makeEvents = <Command, State, Event extends Happening<string, unknown>, E, R>(
    decider: Decider<Command, State, Event, E, R>,
    aggregateId: string,
    events: ReadonlyArray<Event>
  ) =>
    Effect.forEach(events, (event) => {
      const definition = decider.definitions.get(event.type)
      return definition === undefined
        ? Effect.die(
          new Error(`the decider of ${decider.aggregateType} has decided ${event.type}, which it does not define`)
        )
        : definition.make(event.data, { aggregateId }) as Effect.Effect<
          Effect.Success<ReturnType<typeof definition.make>>,
          InvalidEvent,
          R
        >
    })

  const executeOnce = Effect.fnUntraced(function*<Command, State, Event extends Happening<string, unknown>, E, R>(
    decider: Decider<Command, State, Event, E, R>,
    stream: StreamId,
    command: Command,
    options: AppendOptions | undefined
  ) {
    const loaded = yield* load(decider, stream)
    const events = yield* Effect.fromResult(decider.decide(command, loaded.state))
    if (events.length === 0) return { ...loaded, events, ids: [] }
    const entries = yield* toEntries(stream, yield* makeEvents(decider, stream.aggregateId, events), options)
    const state = fold(decider, events, loaded.state)
    const { snapshot } = decider
    if (snapshot === undefined || loaded.version + events.length - loaded.snapshotVersion < snapshot.every) {
      return { ...(yield* append(stream, loaded.version, entries)), state, events }
    }
    return yield* db.sql.withTransaction(Effect.gen(function*() {
      const appended = yield* append(stream, loaded.version, entries)
      const personal = [...decider.definitions.values()].some((definition) => definition.personal)
      yield* keep(stream, snapshot, { state, version: appended.version }, personal ? loaded : undefined)
      return { ...appended, state, events }
    }))
  })

  return { executeOnce, load }
}
