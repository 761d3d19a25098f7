/** Bad input to `emit`: each is refused by the name of what is wrong with it, or arrives; its neighbours always do. */
import { assert, layer } from "@effect/vitest"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import type { Emission } from "@zakops/outbox"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import { randomUUID } from "node:crypto"
import { emitDeals } from "../support/outbox.ts"
import type { Arrived } from "./destinations.ts"
import { arrivedAtPublisher, arrivedInLog, awaitArrival, layerToLog, layerToPublisher } from "./destinations.ts"
import type { EmitCase } from "./emitCases.ts"
import { emitCases } from "./emitCases.ts"

const Anything = EventDefinition.make("anything", {
  aggregateType: "thing",
  aggregateId: () => "7",
  payload: Schema.Unknown
})

/** Emits what the case gives, as a caller in plain JavaScript would. */
const emit = ({ event, options, payload }: EmitCase) =>
  Effect.gen(function*() {
    const outbox = yield* Outbox
    const made = yield* Anything.make(payload === undefined ? { a: 1 } : payload())
    const emission: unknown = { correlationId: randomUUID(), ...options, event: { ...made, ...event } }
    const [id] = yield* outbox.emitAll([emission as Emission])
    return id ?? ""
  })

/** Between two healthy events, in their transaction; a refusal by Postgres ends that, so there it has one of its own. */
const check = (one: EmitCase, arrived: Arrived) =>
  Effect.gen(function*() {
    const { transact } = yield* TransactionalPublisher
    const { drain } = yield* OutboxProcessor
    const attempt: Effect.Effect<Result.Result<string, unknown>, SqlError, Outbox | TransactionalPublisher> =
      one.expected._tag === "RefusedByPostgres"
        ? Effect.result(transact(emit(one)))
        : transact(Effect.result(emit(one)))
    const [before, result, after] = one.expected._tag === "RefusedByPostgres"
      ? [yield* emitDeals(1), yield* attempt, yield* emitDeals(1)]
      : yield* transact(Effect.all([emitDeals(1), attempt, emitDeals(1)]))
    switch (one.expected._tag) {
      case "Refused": {
        const error = Result.isFailure(result) ? result.failure : undefined
        assert.instanceOf(error, InvalidEvent, String(error))
        assert.isTrue(error.field.startsWith(one.expected.field), error.message)
        assert.isBelow(error.message.length, 2000)
        break
      }
      case "RefusedByPostgres": {
        const error = Result.isFailure(result) ? result.failure as SqlError : undefined
        assert.strictEqual(error?._tag, "SqlError", String(error))
        assert.strictEqual(error === undefined ? "" : SqlErrors.sqlState(error), one.expected.state)
        break
      }
      default:
        assert.isTrue(Result.isSuccess(result), String(result))
    }
    yield* drain
    const own = Result.isSuccess(result) ? [result.success.toLowerCase()] : []
    yield* awaitArrival(arrived, [...before, ...own, ...after])
  })

layer(layerToLog, { excludeTestServices: true })("to the log,", (it) => {
  let arrived: Arrived | undefined
  it.effect.each(emitCases)("$name", (one) =>
    Effect.gen(function*() {
      arrived ??= yield* arrivedInLog
      yield* check(one, arrived)
    }))
})

layer(layerToPublisher, { excludeTestServices: true })("to a publisher,", (it) => {
  it.effect.each(emitCases)("$name", (one) => Effect.flatMap(arrivedAtPublisher, (arrived) => check(one, arrived)))
})
