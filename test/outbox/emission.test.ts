/** The checks before writing that need no database: which field is wrong, and where exactly the limits lie. */
import { assert, describe, it } from "@effect/vitest"
import type { Event } from "@zakops/events/EventDefinition"
import type { Emission } from "@zakops/outbox"
import { toEntry } from "@zakops/outbox/emitting/toEntry"
import { traceIdOf } from "@zakops/outbox/emitting/identifiers"
import { nowhere } from "@zakops/outbox/emitting/Origin"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const limits = { enabled: true, modes: {}, maxAttempts: 5, maxEventBytes: 1000 }
const event: Event = {
  type: "deal.made",
  schemaVersion: 1,
  aggregateType: "deal",
  aggregateId: "d",
  data: null,
  json: "{}"
}
const emission: Emission = { event, correlationId: "0190a8f2-0000-7000-8000-000000000001" }

/** The field that is refused, or undefined. */
const refused = (changed: Omit<Partial<Emission>, "event"> & { readonly event?: Partial<Event> }) =>
  Result.match(toEntry({ ...emission, ...changed, event: { ...event, ...changed.event } }, nowhere, limits), {
    onFailure: (error) => error.field,
    onSuccess: () => undefined
  })

describe("an emission", () => {
  it("is refused by the name of the field that is wrong", () => {
    assert.isUndefined(refused({}))
    for (const id of ["", "deal-123", "0190a8f2-0000-7000-8000-00000000000", "0190a8f2-0000-7000-8000-00000000000g"]) {
      assert.strictEqual(refused({ correlationId: id }), "correlationId")
      assert.strictEqual(refused({ id }), "id")
      assert.strictEqual(refused({ traceId: id }), "traceId")
    }
    assert.strictEqual(refused({ event: { type: "" } }), "type")
    assert.strictEqual(refused({ headers: { "x": "a\u0000" } }), "headers.x")
    assert.strictEqual(refused({ headers: { "\ud800": "a" } }), "headers[\"\\ud800\"]")
    for (const maxAttempts of [0, -1, 1.5, NaN, Infinity, 2 ** 31]) {
      assert.strictEqual(refused({ maxAttempts }), "maxAttempts")
    }
  })

  const Letter = Schema.Literals(["a", "ü", "€", "😀"])
  const Field = Schema.Literals(["type", "aggregateType", "aggregateId"])

  it.effect.prop(
    "has texts as long as their columns, counted as Postgres counts",
    { letter: Letter, field: Field },
    Effect.fnUntraced(function*({ field, letter }) {
      const most = field === "aggregateType" ? 50 : 100
      assert.isUndefined(refused({ event: { [field]: letter.repeat(most) } }))
      assert.strictEqual(refused({ event: { [field]: letter.repeat(most + 1) } }), field)
      assert.strictEqual(refused({ event: { [field]: `${letter}\u0000` } }), field)
      assert.strictEqual(refused({ event: { [field]: `${letter}\ud800` } }), field)
      yield* Effect.void
    })
  )

  it.effect.prop(
    "has data up to the limit, counted in bytes of UTF-8",
    { letter: Letter },
    Effect.fnUntraced(function*({ letter }) {
      const bytes = new TextEncoder().encode(letter).byteLength
      const fits = letter.repeat(Math.floor(limits.maxEventBytes / bytes))
      assert.isUndefined(refused({ event: { json: fits } }))
      assert.strictEqual(refused({ event: { json: `${fits}${letter}` } }), "data")
      assert.strictEqual(refused({ headers: { a: fits } }), "headers")
      yield* Effect.void
    })
  )

  it("gets an id that sorts after those before it, the default of attempts, and the span's trace id", () => {
    const entries = Array.from(
      { length: 100 },
      () => Result.getOrThrow(toEntry(emission, { ...nowhere, traceId: "ab".repeat(16) }, limits))
    )
    const ids = entries.map((entry) => entry.id)
    assert.deepStrictEqual(ids, ids.toSorted())
    assert.strictEqual(new Set(ids).size, 100)
    assert.match(ids[0] ?? "", /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    assert.deepInclude(entries[0], { maxAttempts: 5, traceId: "ab".repeat(16) })
  })

  it("has no trace id where the tracer records nothing", () => {
    assert.isNull(traceIdOf(undefined))
    assert.isNull(traceIdOf("noop"))
    assert.strictEqual(traceIdOf("ab".repeat(16)), "ab".repeat(16))
  })
})
