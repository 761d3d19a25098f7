/** Everything that a run consists of: the server, the proxy, the destination, the workers and the producers. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Order, Told } from "./destinationProcess.ts"
import { makeFaultLog } from "./FaultLog.ts"
import { childInScope } from "./processes.ts"
import { makeProxy } from "./proxy.ts"
import { seeded } from "./random.ts"
import type { launch } from "./Server.ts"
import type { Options } from "./settings.ts"
import { clockOffset } from "./settings.ts"
import { makeWorkers } from "./Workers.ts"

/** The worker whose clock is off. It is spared kill -9, so that its memory can be watched. */
export const skewedWorker = 2
/** The worker with a second processor on the same schema. */
export const duplicatedWorker = 1
/** Over a `PipelinedPgClient`. */
const pipelinedProducer = "producer-2"

export const workerName = (worker: number) => `worker-${worker}`

export interface Destination {
  readonly order: (order: Order) => void
  /** How many calls are being held. */
  readonly holding: () => number
  readonly ledger: string
}

export type Client = PgClient | SqlClient

/** A folder for logs and ledger: one that was given stays, one of our own is gone when the scope closes. */
const workFolder = (given: string | undefined) =>
  given !== undefined
    ? Effect.succeed(given)
    : Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "zakops-torture-"))),
      (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
    )

const startDestination = (folder: string, seed: string) =>
  Effect.gen(function*() {
    const ledger = join(folder, "ledger.jsonl")
    let holding = 0
    let opened = (_port: number) => {}
    const port = new Promise<number>((resolve) => {
      opened = resolve
    })
    const child = yield* childInScope({
      file: "destinationProcess.ts",
      name: "destination",
      folder,
      env: { TORTURE_SEED: seed, TORTURE_LEDGER: ledger },
      hear: (message) => {
        const told = message as Told
        if ("port" in told) opened(told.port)
        else holding = told.holding
      }
    })
    const order = (order: Order) => {
      if (order.to === "hold") holding = 0
      child.process.send(order)
    }
    return { destination: { order, holding: () => holding, ledger }, port: yield* Effect.promise(() => port) }
  })

export const makeWorld = (options: Options, server: Effect.Success<typeof launch>) =>
  Effect.gen(function*() {
    const folder = yield* workFolder(options.logs)
    const seed = String(options.seed)
    const faults = makeFaultLog()
    const proxy = yield* makeProxy(Number(new URL(server.url).port))
    const proxied = new URL(server.url)
    proxied.port = String(proxy.port)
    const proxiedUrl = proxied.toString()
    const { destination, port } = yield* startDestination(folder, seed)
    const mutation = options.mutation

    const workers = yield* makeWorkers((worker) => ({
      file: "workerProcess.ts",
      name: workerName(worker),
      folder,
      first: [
        ...mutation === undefined ? [] : ["mutate.ts"],
        ...worker === skewedWorker ? ["skewedClock.ts"] : []
      ],
      env: {
        DATABASE_URL: proxiedUrl,
        TORTURE_DESTINATION: String(port),
        TORTURE_CLOCK_OFFSET: String(Duration.toMillis(clockOffset)),
        TORTURE_DUPLICATE: worker === duplicatedWorker ? "yes" : "no",
        TORTURE_MUTATION: mutation ?? ""
      }
    }), faults.stoodStill)

    const logOf = (name: string) => join(folder, `${name}.jsonl`)
    const names = ["producer-1", pipelinedProducer]
    const producers = yield* Effect.forEach(names, (name) =>
      childInScope({
        file: "producerProcess.ts",
        name,
        folder,
        env: {
          DATABASE_URL: proxiedUrl,
          TORTURE_SEED: seed,
          TORTURE_LOG: logOf(name),
          TORTURE_PIPELINED: name === pipelinedProducer ? "yes" : "no"
        }
      }))

    // Not through the proxy, and nobody terminates it: it is to stay open.
    const openTransaction = (seconds: number) =>
      Effect.scoped(Effect.flatMap(
        childInScope({
          file: "producerProcess.ts",
          name: "open-transaction",
          folder,
          env: {
            DATABASE_URL: server.url,
            TORTURE_SEED: seed,
            TORTURE_LOG: logOf("open-transaction"),
            TORTURE_OPEN_SECONDS: String(seconds)
          }
        }),
        ({ ended }) => ended
      ))

    return {
      options,
      random: seeded(options.seed, "faults"),
      server,
      proxiedUrl,
      proxy,
      destination,
      workers,
      producers,
      producerLogs: [...names, "open-transaction"].map(logOf),
      openTransaction,
      faults
    }
  })

export type World = Effect.Success<ReturnType<typeof makeWorld>>
