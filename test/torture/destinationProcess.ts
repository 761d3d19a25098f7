/**
 * The destination outside the database, as a process of its own: an HTTP server on loopback that keeps a ledger, and fails in all the ways
 * that a run asks for. It is told how by messages of its parent, and ends with it.
 */
import { fdatasync, openSync, write } from "node:fs"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import type { Fate } from "./events.ts"
import type { Happening } from "./ledger.ts"
import { seeded } from "./random.ts"

/** What it is told. */
export type Order =
  | { readonly to: "behave"; readonly misbehave: boolean }
  /** Calls of this worker wait from now on. */
  | { readonly to: "hold"; readonly worker: string }
  | { readonly to: "release" }
  /** Milliseconds to wait before each answer. */
  | { readonly to: "slow"; readonly millis: number }
  | { readonly to: "close" }
  | { readonly to: "open" }

/** What it tells. */
export type Told =
  | { readonly port: number }
  | { readonly holding: number }

interface Event {
  readonly id: string
  readonly fate: Fate
  readonly worker: string
}

const random = seeded(Number(process.env["TORTURE_SEED"]), "destination")
const file = openSync(process.env["TORTURE_LEDGER"] ?? "", "a")
const tell = (told: Told) => process.send?.(told)

let misbehaving = false
let slow = 0
const held = new Set<string>()
let holding = 0
let release: Array<() => void> = []

// Lines that come while others are being synced go together with the next sync.
let lines: Array<string> = []
let synced = Promise.resolve()
const writeOut = async () => {
  const text = lines.join("")
  lines = []
  if (text === "") return
  await promisify(write)(file, text)
  await promisify(fdatasync)(file)
}
/** Notes it at once, in order; what it gives resolves when it is on disk. */
const note = (what: Happening, call: number, { id, worker }: Event) => {
  lines.push(`${JSON.stringify({ what, at: Date.now(), id, call, worker })}\n`)
  synced = synced.then(writeOut)
  return synced
}

const read = async (request: IncomingMessage): Promise<Event> => {
  let text = ""
  for await (const chunk of request) text += String(chunk)
  return JSON.parse(text) as Event
}

const answer = (response: ServerResponse, status: number) => {
  response.statusCode = status
  response.end()
}

let calls = 0

const take = async (request: IncomingMessage, response: ServerResponse) => {
  const event = await read(request)
  const call = ++calls
  void note("begun", call, event)
  if (held.has(event.worker)) {
    tell({ holding: ++holding })
    await new Promise<void>((resolve) => release.push(resolve))
  }
  if (slow > 0) await sleep(slow)
  if (event.fate !== "taken") {
    await note("refused", call, event)
    return answer(response, event.fate === "cursed" ? 422 : 503)
  }
  const dice = misbehaving ? random.next() : 1
  if (dice < 0.06) {
    await note("refused", call, event)
    return answer(response, 503)
  }
  // The call hangs until the caller gives up.
  if (dice < 0.08) return void note("hung", call, event)
  await sleep(random.between(1, 15))
  await note("accepted", call, event)
  if (dice < 0.11 || response.destroyed) {
    await note("lost", call, event)
    return response.destroy()
  }
  // In the ledger first: what follows on this yes has to stand behind it.
  void note("answered", call, event)
  answer(response, 200)
}

const server = createServer((request, response) => {
  take(request, response).catch(() => response.destroy())
})

let port = 0
const open = () =>
  server.listen(port, "127.0.0.1", () => {
    const address = server.address()
    port = typeof address === "object" && address !== null ? address.port : 0
    tell({ port })
  })

const obey = (order: Order) => {
  switch (order.to) {
    case "behave":
      misbehaving = order.misbehave
      return
    case "hold":
      held.add(order.worker)
      holding = 0
      return
    case "release": {
      held.clear()
      const waiting = release
      release = []
      for (const resolve of waiting) resolve()
      return
    }
    case "slow":
      slow = order.millis
      return
    case "close":
      server.close()
      server.closeAllConnections()
      return
    case "open":
      open()
  }
}

process.on("message", (order) => obey(order as Order))
process.on("disconnect", () => process.exit())
open()
