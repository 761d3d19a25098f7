/**
 * A Kafka cluster of a test's own: the mock cluster of librdkafka (what `kcat` brings along), behind a proxy.
 *
 * The cluster keeps its messages in memory, so ending its process would lose them. What a broker's crash is to its clients the proxy does
 * instead: connections break, what was on its way is lost, nobody listens any more. Its clients come to it, as it writes its own port where
 * the broker names another. What the mock cannot do it does as well: it refuses what is produced, as a topic does that is short of replicas or
 * takes no message so large, and knows a password (SASL PLAIN); what it refuses the cluster never sees. It hides the versions of
 * ListOffsets that librdkafka 2.0 answers with too many fields, and those of Produce that it does not read itself.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import type { Server as TcpServer, Socket } from "node:net"
import { connect, createServer } from "node:net"
import type { ProduceRequest } from "../kafka/frames.ts"
import { apiOf, authentication, correlationOf, edit, framesOf, readProduce, refusal } from "../kafka/frames.ts"
import { freePort, isMissing } from "./brokers.ts"

export const missing = isMissing("kcat")

export interface KafkaCluster {
  /** Where clients find it, through the proxy. */
  readonly brokers: ReadonlyArray<string>
  /** Where it is itself. */
  readonly behind: string
  readonly kill: Effect.Effect<void>
  readonly start: Effect.Effect<void>
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** Holds the process itself still, until the scope closes, for those that come to it without the proxy: it reads nothing any more. */
  readonly hold: Effect.Effect<void, never, Scope.Scope>
  /** Has the process end, with all that it holds, and starts another at the same address. */
  readonly replace: Effect.Effect<void>
  /** All Produce requests that have come, also those that were refused or never got to the cluster. */
  readonly produced: ReadonlyArray<ProduceRequest>
  /**
   * Has Produce requests refused with this error of Kafka, until the scope closes.
   *
   * @param over only those of which a batch has more bytes than that. Then all of the request is refused: Kafka stores its other batches.
   */
  readonly refuse: (code: number, over?: number) => Effect.Effect<void, never, Scope.Scope>
  /** How many connections clients have. */
  readonly connections: () => number
}

interface Mock {
  readonly port: number
  readonly signal: (name: "SIGSTOP" | "SIGCONT") => void
  readonly end: () => Promise<void>
}

/** One mock cluster with one broker. */
const spawnMock = () => {
  const args = ["-P", "-b", "mock", "-t", "unused", "-X", "test.mock.num.brokers=1", "-d", "mock"]
  // It lives until its standard input ends.
  const child = spawn("kcat", args, { stdio: ["pipe", "ignore", "pipe"] })
  return new Promise<Mock>((resolve, reject) => {
    let log = ""
    child.once("error", reject).once("exit", () => reject(new Error(`kcat has ended:\n${log}`)))
    child.stderr.on("data", (chunk: Buffer) => {
      const port = /bootstrap\.servers=127\.0\.0\.1:(\d+)/.exec(log = (log + String(chunk)).slice(-10_000))?.[1]
      if (port === undefined) return
      const end = () =>
        new Promise<void>((done) => {
          if (child.exitCode !== null || child.signalCode !== null) return done()
          child.once("exit", () => done())
          child.kill("SIGKILL")
        })
      resolve({ port: Number(port), signal: (name) => child.kill(name), end })
    })
  })
}

export const startKafka: Effect.Effect<KafkaCluster, never, Scope.Scope> = Effect.gen(function*() {
  let mock = yield* Effect.promise(spawnMock)
  const port = yield* Effect.promise(freePort)
  const pairs = new Set<readonly [Socket, Socket]>()
  let held: Array<() => void> | undefined
  const now = (forward: () => void) => held === undefined ? forward() : void held.push(forward)
  const produced: Array<ProduceRequest> = []
  let refusing: { readonly code: number; readonly over: number } | undefined

  /** Has the cluster not get to see what it would not take. */
  const refused = (frame: Buffer): Buffer | undefined => {
    const request = readProduce(frame)
    if (request === undefined) return undefined
    produced.push(request)
    if (refusing === undefined) return undefined
    const { code, over } = refusing
    return request.batches.some(({ bytes }) => bytes > over) ? refusal(frame, request, code) : undefined
  }

  const accept = (client: Socket) => {
    const broker = connect(mock.port, "127.0.0.1")
    const pair = [client, broker] as const
    pairs.add(pair)
    const apis = new Map<number, number>()
    client.on(
      "data",
      framesOf((frame) => {
        const own = authentication(frame) ?? refused(frame)
        if (own !== undefined) return now(() => client.write(own))
        apis.set(correlationOf(frame), apiOf(frame))
        now(() => broker.write(frame))
      })
    )
    broker.on(
      "data",
      framesOf((frame) => {
        const correlation = frame.readInt32BE(4)
        edit(frame, apis.get(correlation), mock.port, port)
        apis.delete(correlation)
        now(() => client.write(frame))
      })
    )
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      // It reads what a client had sent that has gone, also when it was held still meanwhile.
      now(() => broker.end())
    }
    for (const socket of pair) socket.on("error", end).on("close", end)
  }
  let server: TcpServer | undefined
  const start = Effect.promise(() =>
    new Promise<void>((resolve, reject) => {
      if (server !== undefined) return resolve()
      held = undefined
      server = createServer(accept).once("error", reject)
      server.listen(port, "127.0.0.1", resolve)
    })
  )
  const kill = Effect.promise(() =>
    new Promise<void>((resolve) => {
      const closing = server
      if (closing === undefined) return resolve()
      server = undefined
      held = []
      closing.close(() => resolve())
      for (const [client, broker] of pairs) {
        client.destroy()
        broker.destroy()
      }
    })
  )
  yield* Effect.acquireRelease(start, () => Effect.andThen(kill, Effect.promise(() => mock.end())))
  return {
    brokers: [`127.0.0.1:${port}`],
    get behind() {
      return `127.0.0.1:${mock.port}`
    },
    kill,
    start,
    freeze: Effect.sync(() => {
      held = []
    }),
    thaw: Effect.sync(() => {
      const forward = held ?? []
      held = undefined
      for (const one of forward) one()
    }),
    hold: Effect.acquireRelease(
      Effect.sync(() => mock.signal("SIGSTOP")),
      () => Effect.sync(() => mock.signal("SIGCONT"))
    ),
    replace: Effect.gen(function*() {
      yield* kill
      yield* Effect.promise(() => mock.end())
      mock = yield* Effect.promise(spawnMock)
      yield* start
    }),
    produced,
    refuse: (code, over = 0) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          refusing = { code, over }
        }),
        () =>
          Effect.sync(() => {
            refusing = undefined
          })
      ),
    connections: () => pairs.size
  }
})
