/**
 * A Kafka cluster of a test's own: the mock cluster of librdkafka (what `kcat` brings along), behind a proxy.
 *
 * The cluster keeps its messages in memory, so ending its process would lose them. What a broker's crash is to its clients the proxy does
 * instead: connections break, what was on its way is lost, nobody listens any more. It also puts two things right: it has clients come to
 * itself, and hides the versions of ListOffsets that librdkafka 2.0 answers with too many fields.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import type { Server as TcpServer, Socket } from "node:net"
import { connect, createServer } from "node:net"
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
  /** Has the process end, with all that it holds, and starts another at the same address. */
  readonly replace: Effect.Effect<void>
}

const listOffsets = 2
const apiVersions = 18

/** One mock cluster with one broker; gives its port, and how to end it. */
const spawnMock = () => {
  const args = ["-P", "-b", "mock", "-t", "unused", "-X", "test.mock.num.brokers=1", "-d", "mock"]
  // It lives until its standard input ends.
  const child = spawn("kcat", args, { stdio: ["pipe", "ignore", "pipe"] })
  return new Promise<{ readonly port: number; readonly end: () => Promise<void> }>((resolve, reject) => {
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
      resolve({ port: Number(port), end })
    })
  })
}

/** The frames in a stream of bytes, each with its length before it. */
const framesOf = (take: (frame: Buffer) => void) => {
  let held: Buffer = Buffer.alloc(0)
  return (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    while (held.length >= 4 && held.length >= 4 + held.readInt32BE(0)) {
      const length = 4 + held.readInt32BE(0)
      take(Buffer.from(held.subarray(0, length)))
      held = held.subarray(length)
    }
  }
}

/** Length, correlation id, error, count, then key, least and greatest version of each API. */
const capVersions = (frame: Buffer) => {
  const count = frame.readInt32BE(10)
  const end = 14 + count * 6
  if (count < 0 || end > frame.length) return
  for (let at = 14; at < end; at += 6) {
    if (frame.readInt16BE(at) === listOffsets) frame.writeInt16BE(3, at + 4)
  }
}

/** Writes the proxy's port wherever the broker names its own. */
const readdress = (frame: Buffer, from: number, to: number) => {
  const mark = Buffer.alloc(15)
  mark.writeInt16BE(9, 0)
  mark.write("127.0.0.1", 2)
  mark.writeInt32BE(from, 11)
  for (let at = frame.indexOf(mark); at >= 0; at = frame.indexOf(mark, at + 15)) frame.writeInt32BE(to, at + 11)
}

export const startKafka: Effect.Effect<KafkaCluster, never, Scope.Scope> = Effect.gen(function*() {
  let mock = yield* Effect.promise(spawnMock)
  const port = yield* Effect.promise(freePort)
  const pairs = new Set<readonly [Socket, Socket]>()
  let held: Array<() => void> | undefined
  const now = (forward: () => void) => held === undefined ? forward() : void held.push(forward)

  const accept = (client: Socket) => {
    const broker = connect(mock.port, "127.0.0.1")
    const pair = [client, broker] as const
    pairs.add(pair)
    const apis = new Map<number, number>()
    client.on(
      "data",
      framesOf((frame) => {
        apis.set(frame.readInt32BE(8), frame.readInt16BE(4))
        now(() => broker.write(frame))
      })
    )
    broker.on(
      "data",
      framesOf((frame) => {
        const correlation = frame.readInt32BE(4)
        if (apis.get(correlation) === apiVersions) capVersions(frame)
        else readdress(frame, mock.port, port)
        apis.delete(correlation)
        now(() => client.write(frame))
      })
    )
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      broker.destroy()
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
    replace: Effect.gen(function*() {
      yield* kill
      yield* Effect.promise(() => mock.end())
      mock = yield* Effect.promise(spawnMock)
      yield* start
    })
  }
})
