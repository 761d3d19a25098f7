/**
 * What retention costs while events come in, what deleting by batches costs beside dropping a partition, and what a table that is
 * partitioned by day costs every entry.
 *
 * The partitioned table has the columns and indexes of zakops.outbox. Its primary key has to contain created_at, so that nothing keeps an
 * id from being written twice, and a row is named by both: ctid means nothing across partitions.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { migrate } from "@zakops/migrations/Migrations"
import { Maintenance } from "@zakops/outbox/Maintenance"
import { Outbox } from "@zakops/outbox/Outbox"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { layerServices } from "@zakops/outbox/OutboxLive"
import { OutboxProcessor } from "@zakops/outbox/OutboxProcessor"
import { TransactionalPublisher } from "@zakops/outbox/TransactionalPublisher"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { times } from "../Goal.ts"
import type { Contestant, Race } from "../Measurement.ts"
import { rateOf } from "../measure.ts"

const range = (count: number) => Array.from({ length: count }, (_, n) => n)

/** About 350 bytes of JSON. */
const note = "n".repeat(300)
const Priced = EventDefinition.make("deal.priced", {
  aggregateType: "deal",
  payload: Schema.Struct({ price: Schema.Int, note: Schema.String })
})

type Needs =
  | Layer.Success<typeof layerServices>
  | SqlClient

const contestant = (
  name: string,
  settings: string,
  run: (size: number) => Effect.Effect<number, unknown, Needs>
): Contestant => ({
  name,
  settings,
  run: (url, size) =>
    Effect.gen(function*() {
      const live = layerServices.pipe(
        Layer.provide(OutboxConfig.layerWith({ retentionDelivered: Duration.minutes(1) })),
        Layer.provide(EventLog.layerPublisher),
        Layer.provideMerge(Layer.effectDiscard(migrate)),
        Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: 16 }))
      )
      const context = yield* Layer.build(live)
      return yield* Effect.provideContext(run(size), context)
    })
})

/** Entries that were delivered `days` ago, as large ones are left by a delivery: an old version of each row was there before. */
const putDelivered = Effect.fnUntraced(function*(count: number, days: number) {
  const sql = yield* SqlClient
  yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, status)
    SELECT gen_random_uuid(), gen_random_uuid(), 'deal.priced', jsonb_build_object('note', ${note}::text),
      now() - ${days}::int * interval '1 day', 'pending' FROM generate_series(1, ${count}::int)`
  yield* sql`UPDATE zakops.outbox SET status = 'delivered', attempts = 1, delivered_at = created_at WHERE status = 'pending'`
})

/** Emits `size` events a hundred at a time and delivers them to the log, with `beside` at the same time. */
const emitAndDrain = (size: number, beside: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const { transact } = yield* TransactionalPublisher
    const { emitAll } = yield* Outbox
    const { drain } = yield* OutboxProcessor
    yield* putDelivered(size, 2)
    yield* sql`VACUUM ANALYZE zakops.outbox`
    const event = yield* Priced.make({ price: 1, note })
    const emissions = range(100).map(() => ({ event, correlationId: randomUUID() }))
    const emitting = Effect.forEach(range(size / 100), () => transact(emitAll(emissions)), {
      concurrency: 4,
      discard: true
    })
    const delivering = Effect.gen(function*() {
      for (let delivered = 0; delivered < size;) delivered += (yield* drain).delivered
    })
    const all = Effect.all([emitting, delivering], { concurrency: 2, discard: true })
    return yield* rateOf(size, Effect.raceFirst(all, Effect.andThen(beside, Effect.never)))
  })

const whileItRuns: Race = {
  name: "emit and deliver to the log while old entries are deleted",
  unit: "events/s",
  size: 60_000,
  quickSize: 10_000,
  goals: [times("deleting", "keeping", 0.85)],
  contestants: [
    contestant(
      "deleting",
      "batches of 1,000 with pauses of 20 ms; as many entries to be deleted as are emitted",
      (size) =>
        Effect.gen(function*() {
          const { runOnce } = yield* Maintenance
          return yield* emitAndDrain(size, runOnce)
        })
    ),
    contestant("keeping", "the same entries, of which none is deleted", (size) => emitAndDrain(size, Effect.never))
  ]
}

/** zakops.outbox once more, by day of created_at: with its columns, defaults and indexes, but for the primary key. */
const partition = Effect.gen(function*() {
  const sql = yield* SqlClient
  const indexes = yield* sql<{ definition: string }>`
    SELECT indexdef AS definition FROM pg_indexes WHERE schemaname = 'zakops' AND tablename = 'outbox' AND indexname <> 'outbox_pkey'`
  yield* sql`ALTER TABLE zakops.outbox RENAME TO plain`
  yield* sql`CREATE TABLE zakops.outbox (
      LIKE zakops.plain INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING STORAGE
    ) PARTITION BY RANGE (created_at)`
  yield* sql`DROP TABLE zakops.plain`
  yield* sql`ALTER TABLE zakops.outbox ADD PRIMARY KEY (id, created_at), ALTER created_at SET DEFAULT statement_timestamp()`
  yield* Effect.forEach(indexes, ({ definition }) => sql.unsafe(definition))
  yield* Effect.forEach(range(30), (day) =>
    sql.unsafe(`DO $$ BEGIN EXECUTE format(
      'CREATE TABLE zakops.outbox_${day} PARTITION OF zakops.outbox FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 45)',
      current_date - ${day}, current_date - ${day} + 1); END $$`))
})

const day = 2

const vacuum = Effect.flatMap(SqlClient, (sql) => sql`VACUUM zakops.outbox`)

const deletion: Race = {
  name: "delete a day's delivered entries of two, and vacuum",
  unit: "entries/s",
  size: 200_000,
  quickSize: 20_000,
  goals: [],
  contestants: [
    contestant("batches", "batches of 1,000 with pauses of 20 ms; one table", (size) =>
      Effect.gen(function*() {
        const { runOnce } = yield* Maintenance
        const sql = yield* SqlClient
        yield* putDelivered(size, day)
        yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, status, delivered_at)
          SELECT gen_random_uuid(), gen_random_uuid(), 'deal.priced', jsonb_build_object('note', ${note}::text), 'delivered', now()
          FROM generate_series(1, ${size}::int)`
        yield* vacuum
        return yield* rateOf(size, Effect.andThen(runOnce, vacuum))
      })),
    contestant("partition", "DROP of the day's partition; 30 of them", (size) =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* partition
        yield* putDelivered(size, day)
        yield* putDelivered(size, 0)
        yield* vacuum
        return yield* rateOf(size, Effect.andThen(sql`DROP TABLE zakops.outbox_2`, vacuum))
      }))
  ]
}

const due = `NOT finished AND waits_for IS NULL AND ordering_key IS NULL AND destination IS NULL
  AND coalesce(next_attempt_at, '-infinity'::timestamptz) <= statement_timestamp()
  AND (status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < statement_timestamp())
  ORDER BY coalesce(next_attempt_at, '-infinity'::timestamptz), seq LIMIT 100 FOR UPDATE SKIP LOCKED`

const claimed = `status = 'processing', attempts = coalesce(o.attempts, 0) + 1, last_attempt_at = statement_timestamp(),
  claim_id = $1::uuid, lease_until = statement_timestamp() + interval '30 seconds'`
const settled = `status = 'delivered', delivered_at = statement_timestamp(), claim_id = NULL, lease_until = NULL`

interface Claimed {
  readonly id: string
  readonly made: string
}

/** Inserts, claims and settles a hundred entries at a time on one connection, in a table that holds a month of delivered ones. */
const lives = (claim: string, settle: string, prepare: Effect.Effect<unknown, unknown, SqlClient>) => (size: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* prepare
    yield* Effect.forEach(range(28), (days) => putDelivered(3000, days + 1))
    yield* sql`VACUUM ANALYZE zakops.outbox`
    const round = Effect.gen(function*() {
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, next_attempt_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'deal.priced', jsonb_build_object('note', ${note}::text),
          statement_timestamp(), statement_timestamp() FROM generate_series(1, 100)`
      const claimId = randomUUID()
      const rows = yield* sql.unsafe<Claimed>(claim, [claimId])
      const done = yield* sql.unsafe(settle, [rows.map(({ id }) => id), claimId, rows.map(({ made }) => made)])
      if (done.length !== 100) return yield* Effect.die(new Error(`${done.length} of 100 entries were settled`))
    })
    return yield* rateOf(size, Effect.forEach(range(size / 100), () => round, { discard: true }))
  })

const life: Race = {
  name: "insert, claim and settle entries a hundred at a time, one connection",
  unit: "entries/s",
  size: 60_000,
  quickSize: 10_000,
  goals: [times("plain", "partitioned", 1)],
  contestants: [
    contestant(
      "plain",
      "one table; claims by ctid, settles by id",
      lives(
        `UPDATE zakops.outbox o SET ${claimed} WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM zakops.outbox WHERE ${due}))
        RETURNING o.id, o.created_at::text AS made, o.event_data`,
        `UPDATE zakops.outbox o SET ${settled} FROM unnest($1::uuid[], $3::text[]) AS held (id, made)
        WHERE o.id = held.id AND o.claim_id = $2::uuid AND o.status = 'processing' RETURNING o.id`,
        Effect.void
      )
    ),
    contestant(
      "partitioned",
      "30 partitions by day of created_at; claims and settles by id and created_at",
      lives(
        `WITH due AS MATERIALIZED (SELECT id, created_at FROM zakops.outbox WHERE ${due})
        UPDATE zakops.outbox o SET ${claimed} FROM due WHERE o.id = due.id AND o.created_at = due.created_at
        RETURNING o.id, o.created_at::text AS made, o.event_data`,
        `UPDATE zakops.outbox o SET ${settled} FROM unnest($1::uuid[], $3::text[]) AS held (id, made)
        WHERE o.id = held.id AND o.created_at = held.made::timestamptz AND o.claim_id = $2::uuid AND o.status = 'processing'
        RETURNING o.id`,
        partition
      )
    )
  ]
}

export const retentionRaces: ReadonlyArray<Race> = [whileItRuns, deletion, life]
