/** Which addresses a webhook may be sent to. */
import { assert, describe, it } from "@effect/vitest"
import * as AddressPolicy from "@zakops/webhook/AddressPolicy"
import * as Result from "effect/Result"

const notPublic = [
  "0.0.0.0",
  "10.0.0.1",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.8",
  "192.0.2.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.19.255.255",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "0:0:0:0:0:ffff:10.0.0.1",
  "::127.0.0.1",
  "64:ff9b::7f00:1",
  "100::1",
  "2001::1",
  "2001:db8::1",
  "2002:7f00:1::",
  "3fff::1",
  "fc00::1",
  "fd12:3456::1",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "",
  "localhost"
]

const isPublic = ["1.1.1.1", "100.63.255.255", "172.15.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.255"]
  .concat("2606:4700:4700::1111", "::ffff:1.1.1.1", "2a00::1")

describe("AddressPolicy", () => {
  it.each(notPublic)("%s is not public", (address) => {
    assert.isFalse(AddressPolicy.isPublic(address))
  })

  it.each(isPublic)("%s is public", (address) => {
    assert.isTrue(AddressPolicy.isPublic(address))
  })

  it("allows the given ranges beside public addresses, in whatever way they are written", () => {
    const allows = Result.getOrThrow(AddressPolicy.make(["10.1.0.0/16", "fd00::/8"]))
    for (const address of ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "1.1.1.1"]) assert.isTrue(allows(address), address)
    for (const address of ["10.2.0.1", "127.0.0.1", "::1", "fe80::1", ""]) assert.isFalse(allows(address), address)
  })

  it.each(["10.0.0.1", "10.0.0.0/33", "::/129", "intranet/8", "10.0.0/8"])("refuses %s as a range", (given) => {
    assert.deepStrictEqual(AddressPolicy.make(["127.0.0.0/8", given]), Result.fail(given))
  })
})
