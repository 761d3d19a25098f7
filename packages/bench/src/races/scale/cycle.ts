/** How long one batch takes from claim to settle, with more and more in the table. */
import { OutboxProcessor } from "@zakops/outbox/OutboxProcessor"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Client } from "pg"
import type { Goal } from "../../Goal.ts"
import { connect } from "../../measure.ts"
import type { Contestant, Race } from "../../Measurement.ts"
import { median, percentile } from "../../Measurement.ts"
import { layerExternal, ours, takesAll } from "../../ours/services.ts"
import { range } from "../../payload.ts"
import { putDelivered, putPending, vacuum } from "./fill.ts"

const batchSize = 500
const cycles = 40

const cycling = (
  name: string,
  settings: string,
  fill: (client: Client, size: number) => Effect.Effect<unknown>
): Contestant => ({
  name,
  settings,
  run: (url, size) =>
    Effect.gen(function*() {
      const client = yield* connect(url)
      const services = yield* ours(url, { publisher: layerExternal(takesAll(() => {})), settings: { batchSize } })
      yield* fill(client, size)
      yield* vacuum(client)
      const { runOnce } = Context.get(services, OutboxProcessor)
      // Plans are made anew for the first five times.
      yield* Effect.forEach(range(8), () => runOnce, { discard: true })
      const taken: Array<number> = []
      for (let n = 0; n < cycles; n++) {
        const [duration, { delivered }] = yield* Effect.timed(runOnce)
        if (delivered !== batchSize) return yield* Effect.die(new Error(`${delivered} of ${batchSize} were delivered`))
        taken.push(Duration.toMillis(duration))
      }
      return { value: median(taken), figures: { "p95 ms": percentile(taken, 0.95) } }
    })
})

const few = "zakops, few waiting"
const waiting = "many waiting"
const delivered = "many delivered"
/** Enough for all cycles. */
const least = 30_000

const flat = (who: string): Goal => ({
  name: `${who} at most 1.3 times ${few}`,
  needs: [who, few],
  measure: (results) => {
    const of = (name: string) => results.find(({ contestant }) => contestant === name)?.median ?? NaN
    return of(who) / of(few)
  },
  atMost: 1.3
})

export const cycleRaces: ReadonlyArray<Race> = [{
  name: "one batch of 500 from claim to settle, by what is in the table",
  unit: "ms (median)",
  better: "less",
  size: 1_000_000,
  quickSize: 100_000,
  contestants: [
    cycling(few, "30,000 waiting and nothing else", (client) => putPending(client, least)),
    cycling(waiting, "as many waiting as the table says", putPending),
    cycling(
      delivered,
      "30,000 waiting behind as many delivered as the table says, vacuumed",
      (client, size) => Effect.andThen(putDelivered(client, size), putPending(client, least))
    )
  ],
  goals: [flat(waiting), flat(delivered)]
}]
