/** What is sent together, and what becomes of a batch of which one is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Progress } from "@zakops/kafka/Progress"
import { sendTogether } from "@zakops/kafka/sendTogether"

const collect = (
  send: (messages: ReadonlyArray<string>) => Promise<unknown>,
  limits = { messages: 100, bytes: 1000 }
) => {
  const add = sendTogether(send, (cause) => cause === "refused", limits)
  return (message: string, size = 1) =>
    new Promise<unknown>((resolve) => add({ message, size, done: (failure) => resolve(failure?.cause) }))
}

describe("sendTogether", () => {
  it("sends what comes at the same time in one batch, and what comes meanwhile in the next", async () => {
    const batches: Array<ReadonlyArray<string>> = []
    const publish = collect(async (messages) => {
      batches.push(messages)
      if (batches.length === 1) later.push(publish("c"), publish("d"))
      await Promise.resolve()
    })
    const later: Array<Promise<unknown>> = []
    await Promise.all([publish("a"), publish("b")])
    await Promise.all(later)
    assert.deepStrictEqual(batches, [["a", "b"], ["c", "d"]])
  })

  it("keeps to the limits of a batch, and to the order", async () => {
    const batches: Array<ReadonlyArray<string>> = []
    const publish = collect(async (messages) => batches.push(messages), { messages: 3, bytes: 10 })
    const all = ["a", "b", "c", "d"].map((message) => publish(message))
    await Promise.all([...all, publish("e", 6), publish("f", 6), publish("g", 99), publish("h")])
    assert.deepStrictEqual(batches, [["a", "b", "c"], ["d", "e"], ["f"], ["g"], ["h"]])
  })

  it("sends the others of a batch without the one that is refused, and none of a batch that the network has failed", async () => {
    const batches: Array<ReadonlyArray<string>> = []
    const publish = collect(async (messages) => {
      batches.push(messages)
      if (messages.includes("bad")) throw "refused"
      if (messages.includes("lost")) throw "lost"
    })
    assert.deepStrictEqual(
      await Promise.all([publish("a"), publish("bad"), publish("b")]),
      [undefined, "refused", undefined]
    )
    assert.deepStrictEqual(batches, [["a", "bad", "b"], ["a"], ["bad"], ["b"]])
    assert.deepStrictEqual(await Promise.all([publish("a"), publish("lost")]), ["lost", "lost"])
  })
})

describe("Progress", () => {
  const message = (partition: number, offset: number) => ({ topic: "t", partition, offset })

  it("moves on to the last message before which all are handled, each partition for itself", () => {
    const progress = new Progress<ReturnType<typeof message>>()
    const [a0, a1, a2, b0] = [message(0, 0), message(0, 1), message(0, 2), message(1, 0)]
      .map((one) => progress.begin(one))
    assert.isUndefined(a1?.())
    assert.deepStrictEqual(b0?.(), message(1, 0))
    assert.deepStrictEqual(a0?.(), message(0, 1))
    assert.deepStrictEqual(a2?.(), message(0, 2))
  })

  it("says nothing of what was handled of a partition that is another's since", () => {
    const progress = new Progress<ReturnType<typeof message>>()
    const before = progress.begin(message(0, 0))
    progress.clear()
    const after = progress.begin(message(0, 0))
    assert.isUndefined(before())
    assert.deepStrictEqual(after(), message(0, 0))
  })
})
