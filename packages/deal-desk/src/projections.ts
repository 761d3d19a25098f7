/** The read models of the deal desk: the timeline of each deal, and the pipeline report. */
import * as Projection from "@zakops/event-store/Projection"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { ActionAdded, DealCreated, DealStageMoved, FollowUpDue } from "./events.ts"

const note = (eventId: string, dealId: string, entry: string) =>
  Effect.flatMap(
    SqlClient,
    (sql) => sql`INSERT INTO deal_desk.timeline (event_id, deal_id, entry) VALUES (${eventId}, ${dealId}, ${entry})`
  )

export const timeline = Projection.make({
  name: "deal-timeline",
  handlers: [
    Projection.on(DealCreated, ({ data, envelope }) => note(envelope.id, data.dealId, `created: ${data.title}`)),
    Projection.on(DealStageMoved, ({ data, envelope }) => note(envelope.id, data.dealId, `${data.from} -> ${data.to}`)),
    Projection.on(ActionAdded, ({ data, envelope }) => note(envelope.id, data.dealId, `to do: ${data.title}`)),
    Projection.on(FollowUpDue, ({ data, envelope }) => note(envelope.id, data.dealId, "follow up"))
  ],
  reset: Effect.flatMap(SqlClient, (sql) => sql`TRUNCATE deal_desk.timeline`)
})

/** Which stage each deal is in, for the report that sums them up. */
export const pipeline = Projection.make({
  name: "pipeline",
  handlers: [
    Projection.on(
      DealCreated,
      ({ data }) =>
        Effect.flatMap(
          SqlClient,
          (sql) =>
            sql`INSERT INTO deal_desk.pipeline (deal_id, stage, amount) VALUES (${data.dealId}, 'new', ${data.amount})`
        )
    ),
    Projection.on(
      DealStageMoved,
      ({ data }) =>
        Effect.flatMap(
          SqlClient,
          (sql) => sql`UPDATE deal_desk.pipeline SET stage = ${data.to} WHERE deal_id = ${data.dealId}::uuid`
        )
    )
  ],
  reset: Effect.flatMap(SqlClient, (sql) => sql`TRUNCATE deal_desk.pipeline`)
})
