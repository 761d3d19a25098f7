/** The deal desk's own tables, in a schema of their own. Made by whoever starts first; the others wait for it. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"

const statements = [
  `CREATE SCHEMA IF NOT EXISTS deal_desk`,
  // Deals have no table of their own: they are their events.
  `CREATE TABLE IF NOT EXISTS deal_desk.actions (action_id UUID PRIMARY KEY, deal_id UUID NOT NULL, title TEXT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS deal_desk.pipeline (deal_id UUID PRIMARY KEY, stage TEXT NOT NULL, amount INTEGER NOT NULL)`,
  // Nothing here forbids a second row for the same event: that each has one is the doing of projection and inbox, and doubling would
  // show.
  `CREATE TABLE IF NOT EXISTS deal_desk.timeline (event_id UUID NOT NULL, deal_id UUID NOT NULL, entry TEXT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS deal_desk.mails (event_id UUID NOT NULL, deal_id UUID NOT NULL, subject TEXT NOT NULL)`,
  `CREATE INDEX IF NOT EXISTS timeline_of_deal ON deal_desk.timeline (deal_id)`,
  `CREATE INDEX IF NOT EXISTS mails_of_deal ON deal_desk.mails (deal_id)`
]

const lock = "8385826345969"

export const makeTables = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql.withTransaction(Effect.andThen(
    sql`SELECT pg_advisory_xact_lock(${lock}::bigint)`,
    Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
  ))
})
