/**
 * The log's events as they happen, latest first, from the server's stream. Begins with the last few that are there already.
 *
 * While nobody looks the stream is closed; when somebody does again, and after a lost connection, it goes on behind the last event that
 * was shown, so that none is missed.
 */
import type { LoggedEvent } from "@zakops/admin/api/streams"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { useEffect, useLayoutEffect, useRef, useState } from "react"
import { client } from "../api/client.ts"
import { causeInWords } from "../api/problem.ts"
import { useAttention } from "./attention.ts"

export interface TailFilter {
  readonly type?: string
  readonly aggregateType?: string
  readonly aggregateId?: string
  readonly correlationId?: string
}

export interface Tail {
  readonly events: ReadonlyArray<LoggedEvent>
  readonly state: "connecting" | "live" | "lost" | "stopped"
  readonly error: string | undefined
}

/** As many are kept; older ones leave at the end. */
const mostKept = 500
const begin = 50
/** Milliseconds until a lost stream is opened again. */
const pause = 2000
/** Milliseconds for which events are gathered, so that a busy log is drawn ten times a second at most. */
const gather = 100

/** `key` names the filter. */
export const useTail = (key: string, filter: TailFilter): Tail => {
  const attention = useAttention()
  const [tail, setTail] = useState<Tail & { readonly key: string }>({
    key,
    events: [],
    state: "connecting",
    error: undefined
  })
  const cursor = useRef<{ readonly key: string; readonly after: string } | undefined>(undefined)
  const asked = useRef(filter)
  useLayoutEffect(() => {
    asked.current = filter
  })

  useEffect(() => {
    if (!attention) {
      setTail((before) => ({ ...before, state: "stopped" }))
      return
    }
    const end = new AbortController()
    let waiting: Array<LoggedEvent> = []
    let timer: ReturnType<typeof setTimeout> | undefined

    const show = (events: ReadonlyArray<LoggedEvent>) =>
      setTail((before) => ({
        key,
        events: [...events.toReversed(), ...before.key === key ? before.events : []].slice(0, mostKept),
        state: "live",
        error: undefined
      }))
    const flush = () => {
      timer = undefined
      show(waiting)
      waiting = []
    }

    const start = Effect.gen(function*() {
      if (cursor.current?.key === key) return cursor.current.after
      const { items, next } = yield* client.streams.log({ query: { ...asked.current, limit: begin } })
      if (next !== null) cursor.current = { key, after: next }
      setTail({ key, events: items.toReversed(), state: "live", error: undefined })
      return next ?? undefined
    })
    const follow = Effect.gen(function*() {
      const after = yield* start
      const stream = yield* client.streams.tail({
        query: { ...asked.current, ...(after === undefined ? {} : { after }) }
      })
      setTail((before) => ({ ...before, key, state: "live", error: undefined }))
      yield* Stream.runForEach(stream, (item) =>
        Effect.sync(() => {
          cursor.current = { key, after: item.cursor }
          if (item._tag !== "Event") return
          waiting.push(item.event)
          timer ??= setTimeout(flush, gather)
        }))
    })

    const run = async () => {
      while (!end.signal.aborted) {
        const exit = await Effect.runPromiseExit(follow, { signal: end.signal })
        if (end.signal.aborted) return
        const error = Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
          ? causeInWords(exit.cause)
          : undefined
        setTail((before) => ({ ...before, state: "lost", error }))
        await new Promise((resolve) => setTimeout(resolve, pause))
      }
    }
    void run()
    return () => {
      end.abort()
      clearTimeout(timer)
      if (waiting.length > 0) flush()
      clearTimeout(timer)
    }
  }, [attention, key])

  return tail.key === key ? tail : { events: [], state: "connecting", error: undefined }
}
