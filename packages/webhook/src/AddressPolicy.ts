/**
 * Which addresses a webhook may be sent to: public ones, and of the others only those that were allowed by name.
 *
 * Whoever enters a webhook's URL must not reach through us what stands behind our firewall (a metadata service, a database, this machine).
 * Everything that IANA's registries do not have as globally reachable unicast is refused, also where an IPv6 address holds such an IPv4
 * address.
 */
import * as Result from "effect/Result"
import { BlockList, isIP, isIPv4 } from "node:net"

/** Whether an address, in the form that the system gives it, may be connected to. */
export type AddressPolicy = (address: string) => boolean

// IANA IPv4 Special-Purpose Address Registry, with multicast and what is reserved.
const specialV4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4"
]

// IPv6 hands out 2000::/3 only; within it these are not public, or lead to an IPv4 address of the other's choice (6to4, Teredo).
const globalV6 = "2000::/3"
const specialV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]

const range = /^([0-9a-f:.]+)\/(\d{1,3})$/i

const listOf = (ranges: ReadonlyArray<string>): Result.Result<BlockList, string> => {
  const list = new BlockList()
  for (const given of ranges) {
    const [, address = "", bits = ""] = range.exec(given) ?? []
    const family = isIP(address)
    if (family === 0 || Number(bits) > (family === 4 ? 32 : 128)) return Result.fail(given)
    list.addSubnet(address, Number(bits), family === 4 ? "ipv4" : "ipv6")
  }
  return Result.succeed(list)
}

const blockedV4 = Result.getOrThrow(listOf(specialV4))
const givenV6 = Result.getOrThrow(listOf([globalV6]))
const blockedV6 = Result.getOrThrow(listOf(specialV6))

/** An IPv4 address that is written as IPv6 is that IPv4 address. */
const plain = (address: string): string => {
  const bare = address.replace(/%.*$/, "")
  if (isIP(bare) !== 6) return bare
  // The URL parser writes every IPv6 address in one way: ::ffff:1.2.3.4 as ::ffff:102:304.
  const mapped = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(new URL(`http://[${bare}]`).hostname)
  if (mapped === null) return bare
  const [high = 0, low = 0] = mapped.slice(1).map((group) => Number.parseInt(group, 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join(".")
}

/** Whether the whole internet can reach the address. */
export const isPublic = (address: string): boolean => {
  const bare = plain(address)
  if (isIPv4(bare)) return !blockedV4.check(bare, "ipv4")
  return isIP(bare) === 6 && givenV6.check(bare, "ipv6") && !blockedV6.check(bare, "ipv6")
}

/**
 * Public addresses, and those in the given ranges; fails with a range that is none.
 *
 * @param allowed in CIDR form, for example `10.1.0.0/16` or `fd00::/8`
 */
export const make = (allowed: ReadonlyArray<string> = []): Result.Result<AddressPolicy, string> =>
  Result.map(listOf(allowed), (list) => (address) => {
    const bare = plain(address)
    return isPublic(bare) || (isIP(bare) !== 0 && list.check(bare, isIPv4(bare) ? "ipv4" : "ipv6"))
  })
