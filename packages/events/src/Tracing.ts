/**
 * Whether anybody records spans here, and whether anybody wants durations: what is traced and measured asks this first, so that it costs
 * nothing where nobody does.
 *
 * Effect makes spans also where no tracer is installed, and forgets them: a fiber's `cache.tracer` is only there where one was provided.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect/Fiber"
import { constFalse } from "effect/Function"
import { TracerEnabled } from "effect/References"
import type { Tracer } from "effect/Tracer"
import { nativeTracer } from "effect/Tracer"

/**
 * Whether durations and latencies are measured, besides what is only counted: false, unless a program asks for it by providing it, as the
 * layers of `@zakops/telemetry` do.
 */
export const Measured: Context.Reference<boolean> = Context.Reference("@zakops/events/Measured", {
  defaultValue: constFalse
})

/** Whether spans are switched off here by `quietly` only. */
const Quiet: Context.Reference<boolean> = Context.Reference("@zakops/events/Quiet", { defaultValue: constFalse })

/** The tracer that was provided; undefined where there is none, or where the program has switched spans off. */
export const tracerOf = (fiber: Fiber<unknown, unknown>): Tracer | undefined => {
  const { tracer, tracerEnabled } = fiber.cache
  if (tracer === undefined || tracer === nativeTracer) return undefined
  return tracerEnabled || fiber.getRef(Quiet) ? tracer : undefined
}

/**
 * Runs what goes on by itself without its spans: a statement every second that finds nothing is worth no trace. What is in `aloud` has
 * its spans all the same.
 */
export const quietly = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    tracerOf(fiber) === undefined || !fiber.cache.tracerEnabled
      ? self
      : self.pipe(Effect.provideService(TracerEnabled, false), Effect.provideService(Quiet, true))
  )

/** Undoes `quietly` for a part of what is in it. */
export const aloud = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    fiber.cache.tracer !== undefined && fiber.getRef(Quiet)
      ? self.pipe(Effect.provideService(TracerEnabled, true), Effect.provideService(Quiet, false))
      : self
  )
