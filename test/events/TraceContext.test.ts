/** Trace context in headers: what is read is what was written, and what is none is none. */
import { assert, describe, it } from "@effect/vitest"
import * as TraceContext from "@zakops/events/TraceContext"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { externalSpan } from "effect/Tracer"

const hex = (length: number) => Schema.String.check(Schema.isPattern(new RegExp(`^[0-9a-f]{${length - 1}}[1-9a-f]$`)))
const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"

describe("trace context", () => {
  it.effect.prop(
    "comes back as it was written",
    { traceId: hex(32), spanId: hex(16), sampled: Schema.Boolean },
    Effect.fn(function*(given) {
      const traceparent = TraceContext.traceparentOf(externalSpan(given)) ?? assert.fail("it has ids")
      const span = TraceContext.spanOf({ traceparent }) ?? assert.fail(traceparent)
      assert.deepInclude(span, given)
    })
  )

  it("is read of later versions too, but not beyond the first of all", () => {
    assert.deepInclude(TraceContext.parse(`01-${traceId}-${spanId}-01-more`), { traceId, spanId, sampled: true })
    for (
      const none of [
        `00-${traceId}-${spanId}-01-more`,
        `ff-${traceId}-${spanId}-01`,
        `00-${traceId.toUpperCase()}-${spanId}-01`,
        `00-${"0".repeat(32)}-${spanId}-01`,
        `00-${traceId}-${"0".repeat(16)}-01`,
        `00-${traceId}-${spanId}`,
        "",
        "junk"
      ]
    ) {
      assert.isUndefined(TraceContext.parse(none), none)
    }
    for (const traceparent of [7, null, undefined, {}]) assert.isUndefined(TraceContext.spanOf({ traceparent }))
  })

  it("has no header for a span that records nothing", () => {
    assert.isUndefined(TraceContext.traceparentOf(externalSpan({ traceId: "noop", spanId: "noop" })))
  })

  it("takes a tracestate only together with the trace that it belongs to", () => {
    const traceparent = `00-${traceId}-${spanId}-00`
    assert.deepStrictEqual(TraceContext.stateOf({ traceparent, tracestate: "a=1" }), { traceId, tracestate: "a=1" })
    for (const headers of [{ tracestate: "a=1" }, { traceparent }, { traceparent, tracestate: "x".repeat(513) }]) {
      assert.isUndefined(TraceContext.stateOf(headers))
    }
  })
})
