/** When the console asks: for as long as somebody looks, less often while it fails, and never two questions at once. */
import { describe, expect, it } from "@effect/vitest"
import type { Answer, Polled } from "@zakops/console/live/Poller"
import { Poller } from "@zakops/console/live/Poller"

/** A world whose time is moved by hand, and whose answers are given by hand. */
const setUp = (every: number | null = 2000) => {
  const questions: Array<
    { readonly signal: AbortSignal; readonly answer: (answer: Answer<string, string>) => Promise<void> }
  > = []
  const states: Array<Polled<string, string>> = []
  let planned: { readonly at: number; readonly run: () => void } | undefined
  let now = 0
  const poller = new Poller<string, string>({
    every: every ?? undefined,
    ask: (signal) => {
      const { promise, resolve } = Promise.withResolvers<Answer<string, string>>()
      questions.push({
        signal,
        answer: async (answer) => {
          resolve(answer)
          await promise
        }
      })
      return promise
    },
    changed: (state) => states.push(state),
    world: {
      now: () => now,
      later: (millis, run) => {
        const mine = { at: now + millis, run }
        planned = mine
        return () => {
          if (planned === mine) planned = undefined
        }
      }
    }
  })
  return {
    poller,
    questions,
    states,
    /** Milliseconds until the next question; undefined where none is planned. */
    wait: () => planned === undefined ? undefined : planned.at - now,
    pass: () => {
      const due = planned
      if (due === undefined) throw new Error("nothing is planned")
      planned = undefined
      now = due.at
      due.run()
    },
    reply: (answer: Answer<string, string>) =>
      questions.at(-1)?.answer(answer) ?? Promise.reject(new Error("no question"))
  }
}

const fresh = (data: string) => ({ _tag: "fresh", data }) as const
const failed = { _tag: "failed", error: "away" } as const

describe("the poller", () => {
  it("asks nothing until somebody looks, then at once, and again after each answer", async () => {
    const { pass, poller, questions, reply, states, wait } = setUp()
    expect(questions).toHaveLength(0)
    poller.watch(true)
    expect(questions).toHaveLength(1)
    expect(wait()).toBeUndefined()
    await reply(fresh("a"))
    expect(states.at(-1)).toEqual({ data: "a", error: undefined, at: 0 })
    expect(wait()).toBe(2000)
    pass()
    expect(questions).toHaveLength(2)
  })

  it("asks nothing while nobody looks, gives up what is under way, and asks at once when somebody does again", async () => {
    const { poller, questions, reply, states, wait } = setUp()
    poller.watch(true)
    await reply(fresh("a"))
    poller.watch(false)
    expect(wait()).toBeUndefined()
    poller.watch(true)
    expect(questions).toHaveLength(2)
    poller.watch(false)
    expect(questions[1]?.signal.aborted).toBe(true)
    await questions[1]?.answer(fresh("late"))
    expect(states.at(-1)?.data).toBe("a")
  })

  it("waits twice as long after each failure, up to 30 s, and keeps the last answer", async () => {
    const { pass, poller, reply, states, wait } = setUp()
    poller.watch(true)
    await reply(fresh("a"))
    const waits: Array<number | undefined> = []
    for (let failure = 0; failure < 5; failure++) {
      pass()
      await reply(failed)
      waits.push(wait())
    }
    expect(waits).toEqual([4000, 8000, 16_000, 30_000, 30_000])
    expect(states.at(-1)).toEqual({ data: "a", error: "away", at: 0 })
    pass()
    await reply(fresh("b"))
    expect(states.at(-1)?.error).toBeUndefined()
    expect(wait()).toBe(2000)
  })

  it("has one question under way: a refresh overtakes it", async () => {
    const { poller, questions, states } = setUp()
    poller.watch(true)
    poller.refresh()
    expect(questions.map(({ signal }) => signal.aborted)).toEqual([true, false])
    await questions[0]?.answer(fresh("old"))
    await questions[1]?.answer(fresh("new"))
    expect(states.map(({ data }) => data)).toEqual(["new"])
  })

  it("without an interval asks once, and again only when it is refreshed", async () => {
    const { poller, questions, reply, wait } = setUp(null)
    poller.watch(true)
    await reply(fresh("a"))
    expect(wait()).toBeUndefined()
    expect(questions).toHaveLength(1)
  })

  it("is silent once it is stopped", async () => {
    const { poller, reply, states, wait } = setUp()
    poller.watch(true)
    poller.stop()
    await reply(fresh("a"))
    expect(states).toHaveLength(0)
    expect(wait()).toBeUndefined()
  })
})
