/** A tracer that keeps the spans that it is asked for, in their order, ended or not. */
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

export const recordingTracer = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return {
    tracer,
    layer: Layer.succeed(Tracer.Tracer, tracer),
    spans,
    /** Those of operations on messages, which are all but the database's and the test's. */
    operations: () => spans.filter(({ attributes }) => attributes.has("messaging.operation.name")),
    ofName: (name: string) => spans.filter((span) => span.name === name)
  }
}

export const parentId = (span: Tracer.Span): string | undefined => Option.getOrUndefined(span.parent)?.spanId
export const linkedIds = (span: Tracer.Span): ReadonlyArray<string | undefined> =>
  span.links.map(({ span }) => span.spanId)
