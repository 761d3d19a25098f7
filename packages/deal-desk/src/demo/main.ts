/**
 * The demo: a database, the deal desk's API, workers and traffic, with everything that goes wrong shown live.
 *
 * `--exit` ends after the scenario and checks the books: exit code 0 only if nothing is lost, doubled, or delivered after a roll-back.
 * The last line is then JSON. DATABASE_URL names the server to use instead of an embedded one.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import { EventStore } from "@zakops/event-store/EventStore"
import * as EventLog from "@zakops/event-store/EventLog"
import { migrate } from "@zakops/migrations/Migrations"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { DeadLetters, OutboxOverview } from "@zakops/outbox"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { layerServices } from "@zakops/outbox/OutboxLive"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { defaultTeardown, errorReported } from "effect/Runtime"
import { isSqlError } from "effect/sql/SqlError"
import { Deals, FollowUpAfter } from "../Deals.ts"
import { start } from "../EmbeddedPostgres.ts"
import { layerServer } from "../server.ts"
import { makeTables } from "../tables.ts"
import { faultsIn, readBooks } from "./books.ts"
import { serveConsole } from "./console.ts"
import { installFaults } from "./faults.ts"
import { layerNotes, Notes } from "./Notes.ts"
import { play } from "./scenario.ts"
import { show } from "./screen.ts"
import { makeTraffic } from "./Traffic.ts"

const exits = process.argv.includes("--exit")
const terminal = process.stdout.isTTY && !exits

/** The demo cannot run, or its books do not add up: told in one line each, with exit code 1. */
class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly lines: ReadonlyArray<string> }> {
  // It is printed below; the runtime need not log it once more.
  override readonly [errorReported] = false
}

const serve = layerServer(0).pipe(
  Layer.provide(Deals.layer),
  Layer.provide(Layer.succeed(FollowUpAfter, Duration.seconds(1))),
  // The API only writes; workers deliver.
  Layer.provide(EventStore.layer.pipe(Layer.provideMerge(layerServices), Layer.provideMerge(EventLog.layerPublisher)))
)

const demo = Effect.gen(function*() {
  const { tell } = yield* Notes
  const given = yield* Config.option(Config.String("DATABASE_URL"))
  if (Option.isNone(given)) yield* tell("starting an embedded Postgres")
  const url = Option.isSome(given) ? given.value : yield* start()

  return yield* Effect.gen(function*() {
    yield* migrate
    yield* makeTables
    yield* installFaults
    const { address } = yield* Effect.map(Layer.build(serve), (context) => Context.get(context, HttpServer.HttpServer))
    const api = HttpServer.formatAddress(address)
    const console = yield* serveConsole
    const title =
      `Console: ${console}   Deal desk: ${api}/docs   Waits between attempts are 100 times shorter than in production`
    yield* tell(title)
    yield* Effect.forkScoped(show(title, terminal))
    const traffic = yield* makeTraffic(api)
    yield* play(traffic, url)
    if (!exits) {
      yield* tell("a deal every half second from now on; Ctrl-C ends it")
      return yield* traffic.steadily
    }
    const books = yield* readBooks(traffic.accounts)
    const faults = faultsIn(books)
    if (faults.length > 0) return yield* new DemoFailed({ lines: [...faults, JSON.stringify(books)] })
    yield* tell("nothing is lost, doubled, or delivered after a roll-back")
    return books
  }).pipe(
    // The scope closes first: what runs in it still needs the client.
    Effect.scoped,
    Effect.provide(
      Layer.merge(OutboxOverview.layer, DeadLetters.layer).pipe(
        Layer.provideMerge(
          PgClient.layer({ url: Redacted.make(url), maxConnections: 20, applicationName: "deal-desk demo" })
        )
      )
    )
  )
})

const inWords = (error: unknown): ReadonlyArray<string> =>
  error instanceof DemoFailed
    ? error.lines
    : [
      isSqlError(error)
        ? `the database of DATABASE_URL: ${SqlErrors.serverText(error)}`
        : String((error as Error).message ?? error)
    ]

demo.pipe(
  Effect.scoped,
  Effect.provide(Layer.merge(OutboxConfig.layer, layerNotes(terminal))),
  Effect.flatMap((books) => Effect.sync(() => process.stdout.write(`${JSON.stringify(books)}\n`))),
  Effect.tapError((error) =>
    Effect.sync(() => process.stderr.write(inWords(error).map((line) => `demo: ${line}\n`).join("")))
  ),
  Effect.mapError((error) => new DemoFailed({ lines: inWords(error) })),
  // Ctrl-C is how a demo ends, and no failure.
  NodeRuntime.runMain({
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : defaultTeardown(exit, onExit)
  })
)
