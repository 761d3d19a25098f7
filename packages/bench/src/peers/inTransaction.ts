/** The plain pg driver: a business row and something else in one transaction, on a connection of the pool. */
import * as Effect from "effect/Effect"
import type { PoolClient } from "pg"
import { Pool } from "pg"
import { payload } from "../payload.ts"
import type { EmitOne } from "./Emitter.ts"

export const pool = (url: string, max: number) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new Pool({ connectionString: url, max }).on("error", () => {}).on("connect", (client) =>
        client.on("error", () => {}))
    ),
    (pool) =>
      Effect.promise(() => pool.end())
  )

export const inTransaction =
  (pgPool: Pool, also: (client: PoolClient, n: number) => Promise<unknown>): EmitOne => (n) =>
    Effect.promise(async () => {
      const { dealId, price } = payload(n)
      const client = await pgPool.connect()
      try {
        await client.query("BEGIN")
        await client.query({
          name: "deal",
          text: "INSERT INTO deals (id, price) VALUES ($1, $2)",
          values: [dealId, price]
        })
        await also(client, n)
        await client.query("COMMIT")
      } finally {
        client.release()
      }
    })
