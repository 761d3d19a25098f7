/**
 * Makes ids that grow with time: UUIDs of version 7 (RFC 9562), which Postgres finds near each other in its indexes.
 *
 * Each sorts after the one before it in this process: within a millisecond they are counted. The 62 random bits behind that come from
 * Node's supply (0.3 against 2.6 microseconds with fresh random bytes for each, a tenth of what an event of many costs).
 */
const mostInMillisecond = 0xfff

let time = 0
let count = 0

/** A new id, in lower case. Where the clock goes back it keeps its last time, and where it stands still it runs ahead of it. */
export const uuidV7 = (): string => {
  const now = Date.now()
  if (now > time) {
    time = now
    count = 0
  } else if (count === mostInMillisecond) {
    time++
    count = 0
  } else count++
  const millis = time.toString(16).padStart(12, "0")
  return `${millis.slice(0, 8)}-${millis.slice(8)}-7${count.toString(16).padStart(3, "0")}${
    globalThis.crypto.randomUUID().slice(18)
  }`
}
