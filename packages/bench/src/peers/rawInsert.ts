/** What the server allows: transactions like those of pgbench, by the plain pg driver, of one row or of two. */
import * as Effect from "effect/Effect"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import { payload } from "../payload.ts"
import type { OpenEmitter } from "./Emitter.ts"
import { inTransaction, pool } from "./inTransaction.ts"

const table = `CREATE TABLE events (id uuid PRIMARY KEY, deal_id uuid NOT NULL, type text NOT NULL, data jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now())`

/** A second row in a table that nobody has to find anything in: it has a primary key, and no other index. */
export const twoRows: OpenEmitter = (url, connections) =>
  Effect.gen(function*() {
    const pgPool = yield* pool(url, connections)
    yield* Effect.promise(() => pgPool.query(table))
    return inTransaction(pgPool, (client, n) => {
      const data = payload(n)
      return client.query({
        name: "event",
        text: "INSERT INTO events (id, deal_id, type, data) VALUES ($1, $2, $3, $4)",
        values: [uuidV7Unsafe(), data.dealId, "deal.priced", JSON.stringify(data)]
      })
    })
  })
