/** What a contestant of a race to emit can do: a business row and an event in one transaction, again and again. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect, measured } from "../measure.ts"
import type { Contestant } from "../Measurement.ts"
import { range } from "../payload.ts"

/** One transaction, with the n-th payload. */
export type EmitOne = (n: number) => Effect.Effect<unknown, unknown>

export type OpenEmitter = (url: string, connections: number) => Effect.Effect<EmitOne, unknown, Scope.Scope>

/** The table of the business. */
export const makeDeals = Effect.fnUntraced(function*(url: string) {
  const client = yield* connect(url)
  yield* Effect.promise(() => client.query("CREATE TABLE deals (id uuid PRIMARY KEY, price int NOT NULL)"))
})

/** @param callers as many at the same time, each with a connection */
export const emitting = (callers: number, about: Omit<Contestant, "run">, open: OpenEmitter): Contestant => ({
  ...about,
  run: (url, size) =>
    Effect.gen(function*() {
      yield* Effect.scoped(makeDeals(url))
      const emit = yield* open(url, callers)
      // The connections are there, and their statements prepared.
      yield* Effect.forEach(range(callers * 2), (n) => emit(size + n), { concurrency: callers, discard: true })
      const all = Effect.forEach(range(size), emit, { concurrency: callers, discard: true })
      return { ...yield* measured(url, size, all), count: size }
    })
})
