/** Brokers of the bench's own, on free ports of the loopback, with what they store in a temporary folder. They end with the scope. */
import * as Effect from "effect/Effect"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { env, freePort, isListening, temporaryFolder } from "./machine.ts"
import { rabbitCommand, rabbitNode } from "./rabbitNode.ts"
import { startServer } from "./startServer.ts"

const folder = temporaryFolder("bench")

/** Ends the whole group of a child that was started detached: RabbitMQ's command is a script, whose end its node would outlive. */
const ended = (child: ChildProcess) =>
  new Promise<void>((resolve) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    process.kill(-child.pid, "SIGKILL")
  })

/** Starts a server in its folder, and waits until somebody listens on the port. */
const serve = (
  command: string,
  args: ReadonlyArray<string>,
  port: number,
  cwd: string,
  more: Readonly<Record<string, string>> = {}
) => startServer({ command, args, cwd, env: more, isUp: () => isListening(port) })

/** Keeps what it has acknowledged after a crash of the server, as Postgres does. */
export const redisServer = Effect.gen(function*() {
  const [port, dir] = [yield* Effect.promise(freePort), yield* folder]
  const settings = ["--bind", "127.0.0.1", "--port", String(port), "--dir", dir, "--save", "", "--appendonly", "yes"]
  yield* serve("redis-server", [...settings, "--appendfsync", "always"], port, dir)
  return `redis://127.0.0.1:${port}`
})

/** JetStream with a stream in files. */
export const natsServer = Effect.gen(function*() {
  const [port, dir] = [yield* Effect.promise(freePort), yield* folder]
  const file = join(dir, "nats.conf")
  const text = `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(dir)} }\n`
  yield* Effect.promise(() => writeFile(file, text))
  yield* serve("nats-server", ["-c", file], port, dir)
  return `127.0.0.1:${port}`
})

/** A node by itself, whose queues are in files. */
export const rabbitServer = Effect.gen(function*() {
  const { folder, port, variables } = yield* rabbitNode("bench")
  yield* serve(rabbitCommand, [], port, folder, variables)
  return `amqp://guest:guest@127.0.0.1:${port}`
})

/** The mock cluster of librdkafka, which keeps messages in memory: what is measured is the way there. */
export const kafkaCluster = Effect.gen(function*() {
  const args = ["-P", "-b", "mock", "-t", "unused", "-X", "test.mock.num.brokers=1", "-d", "mock"]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("kcat", args, { env, stdio: ["pipe", "ignore", "pipe"], detached: true })),
    (child) => Effect.promise(() => ended(child))
  )
  return yield* Effect.promise(() =>
    new Promise<string>((resolve, reject) => {
      let log = ""
      child.once("exit", () => reject(new Error(`kcat has ended:\n${log}`)))
      child.stderr.on("data", (chunk: Buffer) => {
        if (log.length < 10_000) log += String(chunk)
        const broker = /bootstrap\.servers=([\d.:]+)/.exec(log)?.[1]
        if (broker !== undefined) resolve(broker)
      })
    })
  )
})

const receiver = `require("node:http").createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(204).end())
}).listen(Number(process.argv[1]), "127.0.0.1")`

/** A receiver in a process of its own that answers 204 at once. */
export const webhookServer = Effect.gen(function*() {
  const port = yield* Effect.promise(freePort)
  yield* serve(process.execPath, ["-e", receiver, String(port)], port, tmpdir())
  return `http://127.0.0.1:${port}/hook`
})
