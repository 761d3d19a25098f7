/**
 * The loop that the seed of this project describes: look for what is pending, and for each event one update when it begins and another
 * when it is delivered. With the index that anybody would add.
 */
import * as Effect from "effect/Effect"
import type { Client } from "pg"
import { connect } from "../measure.ts"
import { parts, payload } from "../payload.ts"
import type { Open } from "./Drainer.ts"

const batchSize = 100
export const throughputSettings =
  `its default batch of ${batchSize}, prepared statements, an index on what is pending; no locks, so one worker only`

const table = `CREATE SCHEMA zakops;
  CREATE TABLE zakops.outbox (id UUID PRIMARY KEY, correlation_id UUID NOT NULL, aggregate_type VARCHAR(50),
    aggregate_id VARCHAR(100), event_type VARCHAR(100), schema_version INTEGER DEFAULT 1, event_data JSONB, trace_id UUID,
    status VARCHAR(50) DEFAULT 'pending', attempts INTEGER DEFAULT 0, max_attempts INTEGER DEFAULT 5,
    last_attempt_at TIMESTAMPTZ, next_attempt_at TIMESTAMPTZ, delivered_at TIMESTAMPTZ, error_message TEXT,
    created_at TIMESTAMPTZ);
  CREATE INDEX ON zakops.outbox (created_at) WHERE status = 'pending'`

const pending = {
  name: "pending",
  text:
    `SELECT * FROM zakops.outbox WHERE status = 'pending' AND next_attempt_at <= now() ORDER BY created_at LIMIT ${batchSize}`
}
const begin = {
  name: "begin",
  text: "UPDATE zakops.outbox SET status = 'processing', attempts = attempts + 1, last_attempt_at = now() WHERE id = $1"
}
const deliver = {
  name: "deliver",
  text: "UPDATE zakops.outbox SET status = 'delivered', delivered_at = now() WHERE id = $1"
}

const drain = async (client: Client, handle: () => Promise<void>) => {
  while (true) {
    const { rows } = await client.query<{ id: string }>(pending)
    if (rows.length === 0) return
    for (const { id } of rows) {
      await client.query({ ...begin, values: [id] })
      await handle()
      await client.query({ ...deliver, values: [id] })
    }
  }
}

export const seedLoop: Open = (url) =>
  Effect.gen(function*() {
    const client = yield* connect(url)
    yield* Effect.promise(() => client.query(table))
    return {
      fill: (count) =>
        Effect.promise(async () => {
          for (const part of parts(count, 1000)) {
            await client.query(
              `INSERT INTO zakops.outbox (id, correlation_id, aggregate_type, aggregate_id, event_type, event_data, next_attempt_at, created_at)
              SELECT gen_random_uuid(), gen_random_uuid(), 'deal', data->>'dealId', 'deal.priced', data, now(), clock_timestamp()
              FROM unnest($1::jsonb[]) AS data`,
              [part.map((n) => JSON.stringify(payload(n)))]
            )
          }
        }),
      drain: () => Effect.promise(() => drain(client, async () => {}))
    }
  })
