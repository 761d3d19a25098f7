/**
 * An answer of the API that stays up to date for as long as somebody looks at the page.
 *
 * Goes on from the last answer to the same question, if the console has asked it before, so that Back shows a page at once.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react"
import type { Client } from "../api/client.ts"
import { client, Condition, NotModified } from "../api/client.ts"
import { causeInWords } from "../api/problem.ts"
import { useAttention } from "./attention.ts"
import type { Answer, Polled } from "./Poller.ts"
import { Poller } from "./Poller.ts"
import { onRefresh } from "./refresh.ts"

export interface Live<A> extends Polled<A, string> {
  readonly refresh: () => void
}

interface Known {
  readonly data: unknown
  readonly etag: string | undefined
}

const mostKnown = 60
const known = new Map<string, Known>()

const remember = (key: string, answer: Known) => {
  known.delete(key)
  known.set(key, answer)
  const oldest = known.keys().next().value
  if (known.size > mostKnown && oldest !== undefined) known.delete(oldest)
}

/** Forgets all answers: another reader may not see them. */
export const forgetAnswers = (): void => known.clear()

const world = {
  now: () => Date.now(),
  later: (millis: number, run: () => void) => {
    const timer = setTimeout(run, millis)
    return () => clearTimeout(timer)
  }
}

const asking =
  <A>(key: string, ask: () => Effect.Effect<A, unknown>) => async (signal: AbortSignal): Promise<Answer<A, string>> => {
    let etag: string | undefined
    const exit = await Effect.runPromiseExit(
      Effect.provideService(ask(), Condition, {
        etag: known.get(key)?.etag,
        seen: (given) => {
          etag = given
        }
      }),
      { signal }
    )
    if (Exit.isSuccess(exit)) {
      remember(key, { data: exit.value, etag })
      return { _tag: "fresh", data: exit.value }
    }
    const before = known.get(key)
    return Cause.squash(exit.cause) instanceof NotModified && before !== undefined
      ? { _tag: "fresh", data: before.data as A }
      : { _tag: "failed", error: causeInWords(exit.cause) }
  }

/**
 * `key` names the question with everything that it depends on; `ask` puts it. `every` is in milliseconds, 2,000 unless given; null: it is asked
 * once, and again when it is refreshed.
 */
export const usePolled = <A>(
  key: string,
  ask: (api: Client) => Effect.Effect<A, unknown>,
  every: number | null = 2000
): Live<A> => {
  const attention = useAttention()
  const question = useRef(ask)
  useLayoutEffect(() => {
    question.current = ask
  })
  const poller = useRef<Poller<A, string>>(undefined)
  const first = () => ({ key, data: known.get(key)?.data as A | undefined, error: undefined, at: undefined })
  const [state, setState] = useState<Polled<A, string> & { readonly key: string }>(first)

  useEffect(() => {
    const made = new Poller<A, string>({
      every: every ?? undefined,
      ask: asking(key, () => question.current(client)),
      changed: (polled) => setState({ ...polled, key }),
      initial: known.get(key)?.data as A | undefined,
      world
    })
    poller.current = made
    const forget = onRefresh(() => made.refresh())
    return () => {
      forget()
      made.stop()
    }
  }, [key, every])

  // A question is asked once also while nobody looks: a page opened in the background is there when one comes to it.
  useEffect(() => {
    if (attention) poller.current?.watch(true)
    else {
      poller.current?.watch(false)
      if (known.get(key) === undefined) poller.current?.refresh()
    }
  }, [attention, key, every])

  const refresh = useCallback(() => poller.current?.refresh(), [])
  const { at, data, error } = state.key === key ? state : first()
  return { at, data, error, refresh }
}
