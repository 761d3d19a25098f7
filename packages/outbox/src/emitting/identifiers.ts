/** What an id and a trace id look like. */
export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** As tracers write it; a UUID column takes it too. */
export const traceId = /^[0-9a-f]{32}$/i

/** The trace id of a span, if it is one that a UUID column can hold: the tracer that records nothing has names instead. */
export const traceIdOf = (spanTraceId: string | undefined): string | null =>
  spanTraceId !== undefined && traceId.test(spanTraceId) ? spanTraceId : null
