/**
 * Connections that go only where the address policy lets them: the address is checked that is connected to, not one that the name had
 * before (DNS rebinding).
 */
import type { LookupAddress } from "node:dns"
import { lookup } from "node:dns"
import { Agent as HttpAgent } from "node:http"
import type { AgentOptions } from "node:https"
import { Agent as HttpsAgent } from "node:https"
import type { LookupFunction, Socket } from "node:net"
import type { AddressPolicy } from "./AddressPolicy.ts"

/** The name leads to an address that is not allowed, or the connection has led to one. */
export class RefusedAddress extends Error {
  override readonly name = "RefusedAddress"
}

/** How names are resolved. `dns.lookup` unless a test has a rebinding one. */
export type Resolve = (
  hostname: string,
  options: { readonly all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: Array<LookupAddress>) => void
) => void

const guardedLookup = (allows: AddressPolicy, resolve: Resolve): LookupFunction => (hostname, options, done) => {
  resolve(hostname, { ...options, all: true }, (error, found) => {
    if (error !== null) return done(error, "")
    const allowed = found.filter(({ address }) => allows(address))
    const [first] = allowed
    if (first === undefined) {
      const addresses = found.map(({ address }) => address).join(", ")
      return done(new RefusedAddress(`${hostname} is ${addresses || "nowhere"}, which is not allowed`), "")
    }
    return options.all === true ? done(null, allowed) : done(null, first.address, first.family)
  })
}

/** Nothing has been written to the socket when `connect` comes: what was asked for is sent after the listeners that are there before. */
const watch = <S>(socket: S, allows: AddressPolicy): S => {
  const watched = socket as Socket
  watched.once("connect", () => {
    const { remoteAddress = "" } = watched
    if (!allows(remoteAddress)) watched.destroy(new RefusedAddress(`${remoteAddress} is not allowed`))
  })
  return socket
}

/** An agent for `protocol` that keeps at most `connections` of them open and reuses them. */
export const make = (
  protocol: "http:" | "https:",
  allows: AddressPolicy,
  connections: number,
  resolve: Resolve = lookup
): HttpAgent => {
  const options: AgentOptions = {
    keepAlive: true,
    maxSockets: connections,
    maxFreeSockets: connections,
    lookup: guardedLookup(allows, resolve)
  }
  const agent = protocol === "https:" ? new HttpsAgent(options) : new HttpAgent(options)
  const create = agent.createConnection.bind(agent)
  agent.createConnection = (given, done) => watch(create(given, done), allows)
  return agent
}
