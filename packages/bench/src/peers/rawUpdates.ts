/** What Postgres allows: every entry claimed and settled, by one UPDATE each over the whole table. No fence, no limit, no order. */
import * as Effect from "effect/Effect"
import { connect } from "../measure.ts"
import { emitMany } from "../ours/drain.ts"
import { layerExternal, ours, takesAll } from "../ours/services.ts"
import type { Open } from "./Drainer.ts"

export const rawUpdates: Open = (url) =>
  Effect.gen(function*() {
    const services = yield* ours(url, { publisher: layerExternal(takesAll(() => {})) })
    const client = yield* connect(url)
    return {
      fill: (count) => Effect.provideContext(emitMany(count), services),
      drain: () =>
        Effect.promise(async () => {
          await client.query(
            `UPDATE zakops.outbox SET status = 'processing', attempts = attempts + 1, last_attempt_at = now(),
            claim_id = gen_random_uuid(), lease_until = now() + interval '30 seconds'`
          )
          await client.query(`UPDATE zakops.outbox SET status = 'delivered', delivered_at = now(), claim_id = NULL,
            lease_until = NULL WHERE status = 'processing'`)
        })
    }
  })
