/** Ours in a race to emit, and what stands beside it on the same client. */
import * as EventLog from "@zakops/event-store/EventLog"
import { Outbox } from "@zakops/outbox/Outbox"
import type * as PipelinedPgClient from "@zakops/outbox/PipelinedPgClient"
import { TransactionalPublisher } from "@zakops/outbox/TransactionalPublisher"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { DealPriced, payload } from "../payload.ts"
import type { OpenEmitter } from "../peers/Emitter.ts"
import { ours } from "./services.ts"

type ClientLayer = typeof PipelinedPgClient.layer

const open = (url: string, connections: number, client: ClientLayer | undefined) =>
  ours(url, { publisher: EventLog.layerPublisher, connections, ...client === undefined ? {} : { client } })

const writeDeal = (sql: SqlClient, n: number) => {
  const { dealId, price } = payload(n)
  return sql`INSERT INTO deals (id, price) VALUES (${dealId}, ${price})`
}

/** As the README shows it. */
export const emit = (client?: ClientLayer): OpenEmitter => (url, connections) =>
  Effect.gen(function*() {
    const services = yield* open(url, connections, client)
    const sql = Context.get(services, SqlClient)
    const outbox = Context.get(services, Outbox)
    const { transact } = Context.get(services, TransactionalPublisher)
    return (n) => {
      const data = payload(n)
      return transact(Effect.gen(function*() {
        yield* writeDeal(sql, n)
        return yield* outbox.emit(yield* DealPriced.make(data), { correlationId: data.dealId })
      }))
    }
  })

/** The same row written by hand, with nothing checked. */
export const byHand = (client?: ClientLayer): OpenEmitter => (url, connections) =>
  Effect.gen(function*() {
    const services = yield* open(url, connections, client)
    const sql = Context.get(services, SqlClient)
    return (n) => {
      const data = payload(n)
      return sql.withTransaction(Effect.gen(function*() {
        yield* writeDeal(sql, n)
        yield* sql`
          INSERT INTO zakops.outbox (id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data,
            headers, max_attempts, next_attempt_at, created_at)
          VALUES (${uuidV7Unsafe()}, ${data.dealId}, 'deal', ${data.dealId}, 'deal.priced', 1, ${
          JSON.stringify(data)
        }, '{}', 5,
            statement_timestamp(), statement_timestamp())`
      }))
    }
  })

/** No event at all. */
export const businessOnly = (client?: ClientLayer): OpenEmitter => (url, connections) =>
  Effect.gen(function*() {
    const services = yield* open(url, connections, client)
    const sql = Context.get(services, SqlClient)
    return (n) => sql.withTransaction(writeDeal(sql, n))
  })
