/** What every EventSource has to do, whatever stands behind it. Run it for each implementation. */
import { assert, layer } from "@effect/vitest"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EventSource } from "@zakops/events/EventSource"
import { SetAside } from "@zakops/events/EventSource"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import { eventually } from "./outbox.ts"

/** A source, and a way to put events where it reads them. */
export class SourceUnderTest extends Context.Service<SourceUnderTest, {
  /** A source of its own for each name; the same name goes on where it was left. */
  readonly open: (name: string) => Effect.Effect<EventSource>
  /** Puts `count` events there, in order, and gives their ids. */
  readonly publish: (count: number) => Effect.Effect<ReadonlyArray<string>>
  /** Has those that were set aside under this name handed out again, as an operator would. */
  readonly release: (name: string) => Effect.Effect<void>
}>()("@zakops/test/SourceUnderTest") {}

export const eventSourceContract = <E>(name: string, implementation: Layer.Layer<SourceUnderTest, E>) =>
  layer(implementation, { excludeTestServices: true })(name, (it) => {
    /** Reads until `count` events have come, and gives their ids. */
    const read = Effect.fnUntraced(function*(source: EventSource, count: number) {
      const ids: Array<string> = []
      const enough = yield* Deferred.make<void>()
      const take = (batch: ReadonlyArray<EventEnvelope>) =>
        Effect.suspend(() => {
          ids.push(...batch.map((event) => event.id))
          return ids.length >= count ? Effect.asVoid(Deferred.succeed(enough, void 0)) : Effect.void
        })
      const reading = yield* Effect.forkChild(source.consume(take))
      yield* Effect.raceFirst(Deferred.await(enough), Effect.asVoid(Fiber.join(reading)))
      yield* Fiber.interrupt(reading)
      return ids
    })

    it.effect("hands out what was published before and after it was opened, in order", () =>
      Effect.gen(function*() {
        const { open, publish } = yield* SourceUnderTest
        const source = yield* open("in order")
        const before = yield* publish(30)
        const reading = yield* Effect.forkChild(read(source, 60))
        const after = yield* publish(30)
        assert.deepStrictEqual(yield* Fiber.join(reading), [...before, ...after])
      }))

    it.effect("hands a batch out again whose handling failed, and fails with the handler's error", () =>
      Effect.gen(function*() {
        const { open, publish } = yield* SourceUnderTest
        const source = yield* open("fails")
        const ids = yield* Effect.andThen(publish(5), read(yield* open("all of fails"), 1))
        assert.isAbove(ids.length, 0)
        const failed: Array<string> = []
        const error = yield* Effect.flip(source.consume((batch) =>
          Effect.suspend(() => {
            failed.push(batch[0].id)
            return Effect.fail("no" as const)
          })
        ))
        assert.strictEqual(error, "no")
        const again = yield* read(yield* open("fails"), 1)
        assert.strictEqual(again[0], failed[0])
      }))

    it.effect("hands out again what was being handled when it was interrupted, and nothing that was handled before", () =>
      Effect.gen(function*() {
        const { open, publish } = yield* SourceUnderTest
        yield* publish(3)
        const source = yield* open("interrupted")
        const seen: Array<string> = []
        const handling = yield* Deferred.make<string>()
        const [last = ""] = yield* publish(1)
        const reading = yield* Effect.forkChild(source.consume((batch) =>
          Effect.suspend(() => {
            if (!seen.includes(last)) {
              seen.push(...batch.map(({ id }) => id))
              return Effect.void
            }
            return Effect.andThen(Deferred.succeed(handling, batch[0].id), Effect.never)
          })
        ))
        yield* eventually(Effect.sync(() => seen.includes(last)))
        const later = yield* publish(2)
        assert.strictEqual(yield* Deferred.await(handling), later[0])
        yield* Fiber.interrupt(reading)
        assert.deepStrictEqual(yield* read(yield* open("interrupted"), 2), later)
      }))

    it.effect("sets an event aside, goes on without it, and hands it out again later", () =>
      Effect.gen(function*() {
        const { open, publish, release } = yield* SourceUnderTest
        const [, second = "", ...others] = yield* publish(5)
        const source = yield* open("set aside")
        let willing = false
        const seen: Array<string> = []
        const reading = yield* Effect.forkChild(source.consume((batch) =>
          Effect.gen(function*() {
            for (const { id } of batch) {
              if (id === second && !willing) {
                return yield* new SetAside({ eventId: id, reason: "failed", error: "not now" })
              }
              seen.push(id)
            }
          })
        ))
        yield* eventually(Effect.sync(() => others.every((id) => seen.includes(id))))
        assert.notInclude(seen, second)
        willing = true
        yield* release("set aside")
        yield* eventually(Effect.sync(() => seen.includes(second)))
        yield* Fiber.interrupt(reading)
        assert.strictEqual(new Set(seen).size, seen.length)
      }))

    it.effect("is read by each name for itself", () =>
      Effect.gen(function*() {
        const { open, publish } = yield* SourceUnderTest
        const ids = yield* publish(2)
        for (const reader of ["one", "another"]) {
          const source = yield* open(reader)
          const seen: Array<string> = []
          const reading = yield* Effect.forkChild(source.consume((batch) =>
            Effect.sync(() => {
              seen.push(...batch.map(({ id }) => id))
            })
          ))
          yield* eventually(Effect.sync(() => ids.every((id) => seen.includes(id))))
          yield* Fiber.interrupt(reading)
        }
      }))
  })
