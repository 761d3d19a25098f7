/** A bucket for each name: `rate` requests in a second on average, four times as many at once. In memory, for this process. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

interface Bucket {
  readonly left: number
  readonly at: number
}

/** What is left in a bucket at `now`, in milliseconds. Pure. */
export const refill = (bucket: Bucket | undefined, now: number, rate: number): number => {
  const most = rate * 4
  return bucket === undefined ? most : Math.min(most, bucket.left + Math.max(0, now - bucket.at) * rate / 1000)
}

/** Gives 0 where the request may pass, and else the seconds after which the next one may. */
export const makeRateLimit = () => {
  const buckets = new Map<string, Bucket>()
  return (name: string, rate: number): Effect.Effect<number> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const left = refill(buckets.get(name), now, rate)
      if (left < 1) {
        buckets.set(name, { left, at: now })
        return Math.max(1, Math.ceil((1 - left) / rate))
      }
      buckets.set(name, { left: left - 1, at: now })
      return 0
    })
}
