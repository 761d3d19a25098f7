/** Streams of the counter: made, appended to, and read, through whatever EventStore there is. */
import { EventStore } from "@zakops/event-store/EventStore"
import type { ExpectedVersion, StreamId } from "@zakops/event-store/StreamId"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { Added } from "./counter.ts"

export const newStream = (): StreamId => ({ aggregateType: "counter", aggregateId: randomUUID() })

export const adds = (...amounts: ReadonlyArray<number>) => Effect.forEach(amounts, (by) => Added.make({ by }))

/** What `read` gives of the stream, in short. */
export const contents = Effect.fnUntraced(
  function*(stream: StreamId, options?: Parameters<EventStore["Service"]["read"]>[1]) {
    const { read } = yield* EventStore
    const events = yield* Stream.runCollect(read(stream, options))
    return events.map(({ envelope, streamVersion }) =>
      [streamVersion, (envelope.data as { readonly by: number }).by] as const
    )
  }
)

/** Appends the amounts in a transaction of its own. */
export const append = Effect.fnUntraced(
  function*(stream: StreamId, expected: ExpectedVersion, ...amounts: ReadonlyArray<number>) {
    const store = yield* EventStore
    return yield* store.transact(store.append(stream, expected, yield* adds(...amounts)))
  }
)
