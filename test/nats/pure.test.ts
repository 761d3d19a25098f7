/** What of NATS needs no server: subjects, the order of what comes again, the meaning of answers. */
import { JetStreamApiError } from "@nats-io/jetstream"
import { assert, describe, it } from "@effect/vitest"
import { classify } from "@zakops/nats/natsErrors"
import { subjectOf } from "@zakops/nats/NatsOptions"
import { RedeliveryGate } from "@zakops/nats/RedeliveryGate"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

describe("the subject of an event", () => {
  it("is prefix and type, with nothing in it that a subject cannot hold", () => {
    assert.strictEqual(subjectOf("events", "deal.created"), "events.deal.created")
    assert.strictEqual(subjectOf("events", ""), "events._")
    assert.strictEqual(subjectOf("a.b", ".x..y"), "a.b._.x._.y")
    assert.strictEqual(subjectOf("events", "new deal*.>"), "events.new%20deal%2A.%3E")
  })

  it.effect.prop(
    "is one that the server takes, and another for another type",
    { one: Schema.String, other: Schema.String },
    Effect.fnUntraced(function*({ one, other }) {
      const [first, second] = [one.toWellFormed(), other.toWellFormed()].map((type) => subjectOf("events", type))
      assert.match(first ?? "", /^events(\.[^\s.*>]+)+$/)
      if (one.toWellFormed() !== other.toWellFormed() && !/(^|\.)_?(\.|$)/.test(one + other)) {
        assert.notStrictEqual(first, second)
      }
    }),
    { arbitrary: { runs: 200 } }
  )
})

describe("what an earlier reader has left", () => {
  const Arrival = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 })))

  it.effect.prop(
    "comes before all later messages and in order, whenever it arrives",
    { left: Arrival, later: Arrival, mixed: Schema.Boolean },
    Effect.fnUntraced(function*({ later, left, mixed }) {
      const again = [...new Set(left)]
      const fresh = [...new Set(later)].map((seq) => seq + 12).toSorted((one, other) => one - other)
      const through: Array<number> = []
      const gate = new RedeliveryGate<{ readonly seq: number }>(12, again.length, ({ seq }) => through.push(seq))
      const arriving = mixed ? [...fresh.slice(0, 3), ...again, ...fresh.slice(3)] : [...again, ...fresh]
      for (const seq of arriving) gate.add({ seq })
      assert.deepStrictEqual(through, [...again.toSorted((one, other) => one - other), ...fresh])
    }),
    { arbitrary: { runs: 200 } }
  )

  it("is not waited for any longer when the gate is opened", () => {
    const through: Array<number> = []
    const gate = new RedeliveryGate<{ readonly seq: number }>(5, 2, ({ seq }) => through.push(seq))
    for (const seq of [7, 4]) gate.add({ seq })
    assert.deepStrictEqual(through, [])
    gate.open()
    gate.add({ seq: 8 })
    assert.deepStrictEqual(through, [4, 7, 8])
  })
})

describe("an answer of the stream", () => {
  const answer = (code: number, err_code: number, description: string) =>
    classify(new JetStreamApiError({ code, err_code, description }))._tag

  it.each([
    ["Permanent", 400, 10054, "message size exceeds maximum allowed"],
    ["Transient", 400, 10060, "expected stream does not match"],
    ["Transient", 503, 10077, "maximum messages per subject exceeded"],
    ["Transient", 400, 10071, "wrong last sequence: 1"],
    ["TransportDown", 503, 10077, "maximum bytes exceeded"],
    ["TransportDown", 503, 10047, "insufficient storage resources available"],
    ["TransportDown", 503, 10008, "JetStream system temporarily unavailable"]
  ])("is %s where it is %i, %i: %s", (tag, status, code, description) => {
    assert.strictEqual(answer(status, code, description), tag)
  })
})
