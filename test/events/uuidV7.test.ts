import { assert, describe, it } from "@effect/vitest"
import { uuidV7 } from "@zakops/events/uuidV7"

describe("uuidV7", () => {
  it("makes ids of version 7, each after the one before, of which no two are the same in any number", () => {
    const before = Date.now()
    // More than a millisecond can count.
    const ids = Array.from({ length: 50_000 }, uuidV7)
    for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.deepStrictEqual(ids.toSorted(), ids)
    assert.strictEqual(new Set(ids).size, ids.length)
    const time = parseInt((ids[0] ?? "").replaceAll("-", "").slice(0, 12), 16)
    assert.isAtLeast(time, before)
    assert.isAtMost(time, Date.now())
  })
})
