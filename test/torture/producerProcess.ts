/**
 * A producer: transactions with a business change and its events, some of which it rolls back, all of which it writes down. Ends when it is
 * told to, or with the process that started it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import { sqlState } from "@zakops/migrations/SqlErrors"
import { Outbox } from "@zakops/outbox"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { layerServices } from "@zakops/outbox/OutboxLive"
import * as PipelinedPgClient from "@zakops/outbox/PipelinedPgClient"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { isSqlError } from "effect/sql/SqlError"
import { openSync, writeSync } from "node:fs"
import { layerDestination } from "./Destination.ts"
import type { Fate } from "./events.ts"
import type { ProducerLine } from "./producerLog.ts"
import { seeded } from "./random.ts"
import { logSchema, orderingKeys, outboxSettings, outsideSchema } from "./settings.ts"
import type { Change } from "./writeChange.ts"
import { writeChange } from "./writeChange.ts"

const name = process.env["TORTURE_NAME"] ?? "producer"
const random = seeded(Number(process.env["TORTURE_SEED"]), name)
/** One transaction, left open for so long, instead of many short ones. */
const openSeconds = process.env["TORTURE_OPEN_SECONDS"]
const file = openSync(process.env["TORTURE_LOG"] ?? "", "a")
const writeDown = (line: ProducerLine) => Effect.sync(() => writeSync(file, `${JSON.stringify(line)}\n`))

class Unwanted extends Data.TaggedError("Unwanted")<{}> {}

const fate = (): Fate => random.chance(0.01) ? "poisoned" : random.chance(0.005) ? "cursed" : "taken"

const newChange = (): Change => {
  const ref = random.uuid()
  const kind = random.next()
  if (kind < 0.2) return { ref, ids: [], key: null, account: `account-${random.below(50)}`, fates: [fate()] }
  const fates = Array.from({ length: 1 + random.below(3) }, fate)
  const key = kind < 0.9 ? `key-${random.below(orderingKeys)}` : null
  return {
    ref,
    // Without one they are deferred, where the client does that.
    ids: key === null ? [] : fates.map(() => random.uuid()),
    key,
    account: null,
    fates
  }
}

const produce = Effect.gen(function*() {
  const outside = yield* Layer.build(Layer.fresh(
    layerServices.pipe(Layer.provide(layerDestination(1, name)), Layer.provide(layerSchemaName(outsideSchema)))
  ))
  const log = yield* Layer.build(Layer.fresh(
    EventStore.layer.pipe(
      Layer.provideMerge(layerServices),
      Layer.provide(EventLog.layerPublisher),
      Layer.provide(layerSchemaName(logSchema))
    )
  ))
  const store = Context.get(log, EventStore)
  const write = writeChange({ outside: Context.get(outside, Outbox), log: Context.get(log, Outbox), store })

  const one = Effect.fnUntraced(function*(change: Change, rollsBack: boolean, thinks: Duration.Duration) {
    let ids = change.ids
    const exit = yield* store.transact(Effect.gen(function*() {
      ids = yield* write(change)
      yield* writeDown({ what: "intent", ref: change.ref, ids })
      yield* Effect.sleep(thinks)
      if (rollsBack) return yield* new Unwanted()
    })).pipe(Effect.timeoutOption(Duration.sum(thinks, Duration.seconds(12))), Effect.exit)
    const done = { what: "outcome", ref: change.ref, ids } as const
    if (Exit.isSuccess(exit)) {
      // Whether the interrupted one had committed is not known.
      yield* writeDown({ ...done, outcome: Option.isSome(exit.value) ? "committed" : "unknown" })
      return
    }
    const error = Cause.squash(exit.cause)
    const why = error instanceof Unwanted
      ? "wanted"
      : isSqlError(error) && sqlState(error) === "53100"
      ? "disk full"
      : undefined
    if (why === undefined) yield* Effect.logInfo(`the outcome of ${change.ref} is unknown`, exit.cause)
    yield* writeDown({ ...done, outcome: why === undefined ? "unknown" : "rolled back", why })
    yield* Effect.sleep("100 millis")
  })

  if (openSeconds !== undefined) {
    const change: Change = {
      ref: random.uuid(),
      ids: [],
      key: null,
      account: "account-open",
      fates: ["taken", "taken"]
    }
    return yield* one(change, false, Duration.seconds(Number(openSeconds)))
  }

  const stopped = yield* Deferred.make<void>()
  process.on("message", () => Deferred.doneUnsafe(stopped, Effect.void))
  const untilStopped = Effect.gen(function*() {
    while (!(yield* Deferred.isDone(stopped))) {
      yield* one(newChange(), random.chance(0.1), Duration.millis(random.between(0, 40)))
      yield* Effect.sleep(Duration.millis(random.between(20, 120)))
    }
  })
  yield* Effect.sync(() => process.send?.("ready"))
  yield* Effect.all(Array.from({ length: 4 }, () => untilStopped), { concurrency: "unbounded", discard: true })
}).pipe(Effect.scoped)

process.on("disconnect", () => process.exit())

produce.pipe(
  Effect.provide(Layer.merge(
    OutboxConfig.layerWith(outboxSettings),
    (process.env["TORTURE_PIPELINED"] === "yes" ? PipelinedPgClient : PgClient).layerConfig({
      url: Config.Redacted("DATABASE_URL"),
      maxConnections: Config.succeed(6),
      applicationName: Config.succeed(name)
    })
  )),
  // The channel to the parent would keep the process alive.
  Effect.ensuring(Effect.sync(() => process.disconnect())),
  NodeRuntime.runMain
)
