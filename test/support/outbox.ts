/** The outbox over a test's database, and short ways to put entries in and look at them. */
import type { EmitOptions } from "@zakops/outbox"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import type { OutboxSettings } from "@zakops/outbox"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { claimEntries } from "@zakops/outbox/claiming/claimEntries"
import { dueEntries } from "@zakops/outbox/claiming/dueEntries"
import { dueRuns } from "@zakops/outbox/claiming/dueRuns"
import { dueSuspect } from "@zakops/outbox/claiming/dueSuspect"
import type { Lane } from "@zakops/outbox/delivering/Lane"
import { Tally } from "@zakops/outbox/workers/Tally"
import { layerServices } from "@zakops/outbox/OutboxLive"
import type { ClaimedEntry } from "@zakops/outbox/claiming/OutboxEntry"
import { beginning } from "@zakops/outbox/claiming/Selection"
import * as Database from "@zakops/migrations/Database"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { randomUUID } from "node:crypto"
import { DealMade } from "./events.ts"

/** The services over whatever publisher and database they are given; no processor runs. */
export const services = (settings: Partial<OutboxSettings> = {}) =>
  layerServices.pipe(Layer.provideMerge(OutboxConfig.layerWith(settings)))

/** Emits `count` deals in one transaction and gives the ids of their events. */
export const emitDeals = Effect.fnUntraced(function*(
  count: number,
  options: Partial<EmitOptions> & { readonly title?: string } = {}
) {
  const { transact } = yield* TransactionalPublisher
  const outbox = yield* Outbox
  const { title = "a deal", ...given } = options
  const dealId = randomUUID()
  const event = yield* DealMade.make({ dealId, title })
  return yield* transact(outbox.emitAll(
    Array.from({ length: count }, () => ({ event, correlationId: dealId, ...given }))
  ))
})

/** Claims, as a worker called `name` would, whatever is due: with a key, without one, or to be delivered alone. */
export const claim = Effect.fnUntraced(
  function*(limit: number, lease: Duration.Duration, claimId: string = randomUUID(), name = "a worker", depth = 1) {
    const db = yield* Database.make
    const time = yield* db.now
    const some = { limit, meet: limit, run: limit, depth, after: beginning, bytes: null }
    const taking = { ...some, time, destination: "anywhere", route: null, limited: [], suspectsApart: true }
    const selections = [dueEntries(db, taking), dueRuns(db, taking), yield* dueSuspect(db, "anywhere", null)]
    const claimed: Array<ClaimedEntry> = []
    for (const selection of selections) {
      claimed.push(...(yield* claimEntries(db, name)(selection, claimId, lease)).entries)
    }
    return claimed
  }
)

/** The main destination, with no routes, for a test that calls the parts of a processor itself. */
export const mainLane = (): Lane => ({ route: null, tally: new Tally("anywhere"), routing: undefined })

export interface EntryRow {
  readonly id: string
  readonly status: string
  readonly attempts: number
  readonly claim_id: string | null
  readonly error_message: string | null
}

export const entries = Effect.gen(function*() {
  const sql = yield* SqlClient
  return yield* sql<EntryRow>`SELECT id, status, attempts, claim_id, error_message FROM zakops.outbox ORDER BY seq`
})

export const entry = Effect.fnUntraced(function*(id: string) {
  const found = (yield* entries).find((row) => row.id === id)
  return found ?? (yield* Effect.die(new Error(`no entry ${id}`)))
})

export const loggedIds = Effect.gen(function*() {
  const sql = yield* SqlClient
  const rows = yield* sql<{ id: string }>`SELECT id FROM zakops.agent_events ORDER BY position`
  return rows.map((row) => row.id)
})

/** How many wait for the lock of an ordering key. */
export const waitingForKeys = Effect.gen(function*() {
  const sql = yield* SqlClient
  const rows = yield* sql`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
  return rows.length
})

/** Leaves the tables as they were made. The log refuses to be emptied, so its trigger is set aside. */
export const emptyTables = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`TRUNCATE zakops.outbox, zakops.inbox, zakops.checkpoints, zakops.streams, zakops.snapshots, zakops.parked_events,
    zakops.projections, zakops.outbox_attempts, zakops.dedupe_keys, zakops.flow, zakops.audit, zakops.tasks,
    zakops.shadow_deliveries, zakops.workers, zakops.samples`
  yield* sql`ALTER TABLE zakops.agent_events DISABLE TRIGGER agent_events_append_only`
  yield* sql`TRUNCATE zakops.agent_events`
  yield* sql`ALTER TABLE zakops.agent_events ENABLE TRIGGER agent_events_append_only`
})

/** A table of a business, beside empty ones of the outbox. */
export const emptyBusiness = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* emptyTables
  yield* sql`CREATE TABLE IF NOT EXISTS business (name text)`
  yield* sql`TRUNCATE business`
})

/** Lets real time pass, also where Effect's clock is a TestClock: for what other fibers and processes do meanwhile. */
export const moment = (millis: number) => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, millis)))

/**
 * Looks again every 10 ms of real time until `self` holds. Dies after 30 s unless another limit is given: it is met only where something
 * is broken, also on a busy machine, and where the log is held back by the transactions of the files that run beside.
 */
export const eventually = Effect.fnUntraced(function*<E, R>(self: Effect.Effect<boolean, E, R>, seconds = 30) {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    if (yield* self) return
    yield* moment(10)
  }
  return yield* Effect.die(new Error(`what was waited for did not come about within ${seconds} s`))
})

/** Until the whole log may be read: no transaction of another test file, in whichever database of the server, holds it back. */
export const untilReadable: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* eventually(Effect.map(
    sql<
      { readable: boolean }
    >`SELECT max(xid) < pg_snapshot_xmin(pg_current_snapshot()) AS readable FROM zakops.agent_events`,
    ([row]) => row?.readable === true
  ))
})
