/** pg-transactional-outbox 0.5: an outbox of its own tables; here with its polling listener, which several processes can share. */
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import type { Client } from "pg"
import type { PollingListenerConfig } from "pg-transactional-outbox"
import {
  DatabaseSetup,
  getDisabledLogger,
  initializeMessageStorage,
  initializePollingMessageListener
} from "pg-transactional-outbox"
import { connect, untilTrue } from "../measure.ts"
import { parts, payload } from "../payload.ts"
import type { Open } from "./Drainer.ts"
import { countUntil } from "./Drainer.ts"
import type { OpenEmitter } from "./Emitter.ts"
import { inTransaction, pool } from "./inTransaction.ts"

const functionName = "next_outbox_messages"

/** Its tables, made by its own scripts. */
export const setUp = Effect.fnUntraced(function*(client: Client) {
  const config = {
    outboxOrInbox: "outbox",
    database: client.database ?? "",
    schema: "public",
    table: "outbox",
    listenerRole: client.user ?? "",
    handlerRole: client.user ?? "",
    nextMessagesName: functionName
  } as const
  yield* Effect.promise(async () => {
    await client.query(DatabaseSetup.dropAndCreateTable(config))
    await client.query(DatabaseSetup.createPollingFunction(config))
    await client.query(DatabaseSetup.setupPollingIndexes(config))
  })
})

const batchSize = 50
export const throughputSettings =
  `polling listener, nextMessagesBatchSize ${batchSize}, polling every 1 ms, messages in parallel`

export const listenerConfig = (url: string): PollingListenerConfig => ({
  outboxOrInbox: "outbox",
  dbListenerConfig: { connectionString: url },
  settings: {
    dbSchema: "public",
    dbTable: "outbox",
    enableMaxAttemptsProtection: false,
    enablePoisonousMessageProtection: false,
    nextMessagesBatchSize: batchSize,
    nextMessagesFunctionName: functionName,
    nextMessagesPollingIntervalInMs: 1
  }
})

/** Delivers for as long as the scope is open. */
export const listener = (url: string, handle: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      initializePollingMessageListener(listenerConfig(url), { handle: async () => handle() }, getDisabledLogger(), {
        // From the first round on; its own strategy begins with one message at a time.
        batchSizeStrategy: () => Promise.resolve(batchSize)
      })
    ),
    ([shutdown]) => Effect.promise(shutdown)
  )

export const pgTransactionalOutbox: Open = (url) =>
  Effect.gen(function*() {
    const client = yield* connect(url)
    yield* setUp(client)
    const calls = countUntil()
    const finished = yield* untilTrue(url, "NOT EXISTS (SELECT FROM outbox WHERE processed_at IS NULL)")
    return {
      fill: (count) =>
        Effect.promise(async () => {
          for (const part of parts(count, 1000)) {
            await client.query(
              `INSERT INTO outbox (id, aggregate_type, aggregate_id, message_type, concurrency, payload)
              SELECT gen_random_uuid(), 'deal', data->>'dealId', 'deal.priced', 'parallel', data FROM unnest($1::jsonb[]) AS data`,
              [part.map((n) => JSON.stringify(payload(n)))]
            )
          }
        }),
      drain: (count) =>
        Effect.gen(function*() {
          yield* listener(url, () => calls.hit())
          yield* calls.until(count)
          yield* finished
        })
    }
  })

/** Its message storage in the transaction. */
export const emitting: OpenEmitter = (url, connections) =>
  Effect.gen(function*() {
    yield* Effect.scoped(Effect.flatMap(connect(url), setUp))
    const pgPool = yield* pool(url, connections)
    const store = initializeMessageStorage(listenerConfig(url), getDisabledLogger())
    return inTransaction(pgPool, (client, n) => {
      const data = payload(n)
      const message = {
        id: randomUUID(),
        aggregateType: "deal",
        aggregateId: data.dealId,
        messageType: "deal.priced",
        payload: data
      }
      return store(message, client)
    })
  })
