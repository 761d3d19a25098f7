/** Ours in a race to emit, and what stands beside it on the same client. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as EventLog from "@zakops/event-store/EventLog"
import { Outbox } from "@zakops/outbox/Outbox"
import * as PipelinedPgClient from "@zakops/outbox/PipelinedPgClient"
import { TransactionalPublisher } from "@zakops/outbox/TransactionalPublisher"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { DealPriced, payload, range } from "../payload.ts"
import type { OpenEmitter } from "../peers/Emitter.ts"
import { ours } from "./services.ts"

const writeDeal = (sql: SqlClient, n: number) => {
  const { dealId, price } = payload(n)
  return sql`INSERT INTO deals (id, price) VALUES (${dealId}, ${price})`
}

/** What may be measured of a client. */
const over = (client: typeof PgClient.layer) => {
  const open = (url: string, connections: number) =>
    ours(url, { publisher: EventLog.layerPublisher, connections, client })

  /** As the README shows it, with so many events one after another; ordered by their deals or not. */
  const emit = (events: number, ordered = false): OpenEmitter => (url, connections) =>
    Effect.gen(function*() {
      const services = yield* open(url, connections)
      const sql = Context.get(services, SqlClient)
      const outbox = Context.get(services, Outbox)
      const { transact } = Context.get(services, TransactionalPublisher)
      const emitOne = (n: number) => {
        const data = payload(n)
        const options = { correlationId: data.dealId, orderingKey: ordered ? data.dealId : undefined }
        return Effect.flatMap(DealPriced.make(data), (event) => outbox.emit(event, options))
      }
      return (n) => {
        const emitted = events === 1
          ? emitOne(n)
          : Effect.forEach(range(events), (index) => emitOne(n * events + index), { discard: true })
        return transact(Effect.andThen(writeDeal(sql, n), emitted))
      }
    })

  /** The same row written by hand, with nothing checked. */
  const byHand: OpenEmitter = (url, connections) =>
    Effect.gen(function*() {
      const services = yield* open(url, connections)
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
  const businessOnly: OpenEmitter = (url, connections) =>
    Effect.gen(function*() {
      const services = yield* open(url, connections)
      const sql = Context.get(services, SqlClient)
      return (n) => sql.withTransaction(writeDeal(sql, n))
    })

  return { emit, byHand, businessOnly }
}

export const plain = over(PgClient.layer)
export const pipelined = over(PipelinedPgClient.layer)
