/** Checks the tables against what the API has confirmed: nothing lost, doubled, or delivered after a roll-back. */
import * as Database from "@zakops/migrations/Database"
import { skipped } from "@zakops/inbox/InboxGuard"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { amountLimit } from "../Deals.ts"
import type { Accounts } from "./Traffic.ts"

export interface Books {
  /** Events that the API has confirmed. */
  readonly emitted: number
  /** Changes that were rolled back after their event was emitted. */
  readonly rolledBack: number
  /** Outbox entries that are delivered. */
  readonly delivered: number
  /** Events in the log. */
  readonly logged: number
  /** What the readers of the log have done: lines of timelines, and mails. */
  readonly handled: number
  /** Deliveries to the consumers of this process that the inbox found handled before. */
  readonly duplicatesSkipped: number
  /** Entries that were delivered after more than one attempt. */
  readonly retried: number
  /** Dead letters that somebody has had tried again. */
  readonly redriven: number
  readonly dead: number
  /** Confirmed events that are neither in the log nor dead, and effects of logged events that are missing. */
  readonly lost: number
  /** Events, lines and mails beyond what the API has confirmed, those of rolled-back changes among them. */
  readonly doubled: number
}

interface DealRow {
  readonly deal: string
  readonly delivered: number
  readonly retried: number
  readonly redriven: number
  readonly dead: number
  readonly logged: number
  readonly lines: number
  readonly mails: number
  readonly linesTwice: number
  readonly mailsTwice: number
  readonly ghosts: number
  /** 1 where the pipeline report has the deal in the stage that its last event says. */
  readonly reported: number
}

/** Only the deals of these accounts count: the database may hold those of earlier runs. */
export const readBooks = Effect.fnUntraced(function*(accounts: Accounts) {
  const { sql, table } = yield* Database.make
  const rows = yield* sql<DealRow>`
    SELECT deal,
      (SELECT count(*)::int FROM ${table.outbox} o WHERE o.correlation_id = deal AND status = 'delivered') AS delivered,
      (SELECT count(*)::int FROM ${table.outbox} o WHERE o.correlation_id = deal AND status = 'delivered' AND attempts > 1) AS retried,
      (SELECT count(*)::int FROM ${table.outbox} o WHERE o.correlation_id = deal AND status = 'dead') AS dead,
      (SELECT count(*)::int FROM ${table.outbox} o WHERE o.correlation_id = deal AND redrives > 0) AS redriven,
      (SELECT count(*)::int FROM ${table.agentEvents} e WHERE e.correlation_id = deal) AS logged,
      (SELECT count(*)::int FROM deal_desk.timeline t WHERE t.deal_id = deal) AS lines,
      (SELECT count(*)::int FROM deal_desk.mails m WHERE m.deal_id = deal) AS mails,
      (SELECT (count(*) - count(DISTINCT event_id))::int FROM deal_desk.timeline t WHERE t.deal_id = deal) AS "linesTwice",
      (SELECT (count(*) - count(DISTINCT event_id))::int FROM deal_desk.mails m WHERE m.deal_id = deal) AS "mailsTwice",
      (SELECT count(*)::int FROM ${table.agentEvents} e JOIN ${table.agentEvents} c
          ON c.aggregate_type = 'deal' AND c.aggregate_id = deal::text AND c.stream_version = 1
        WHERE e.correlation_id = deal AND (c.event_data->>'amount')::int > ${amountLimit} AND e.event_data->>'to' = 'won') AS ghosts,
      (SELECT count(*)::int FROM deal_desk.pipeline p WHERE p.deal_id = deal AND p.stage = (
        SELECT coalesce(e.event_data->>'to', 'new') FROM ${table.agentEvents} e
        WHERE e.aggregate_type = 'deal' AND e.aggregate_id = deal::text AND e.stream_version IS NOT NULL
        ORDER BY e.stream_version DESC LIMIT 1)) AS reported
    FROM unnest(${[...accounts.keys()]}::uuid[]) AS deal`
  const skips = yield* Metric.value(skipped("mailer"))

  const books = {
    emitted: 0,
    rolledBack: 0,
    delivered: 0,
    logged: 0,
    handled: 0,
    duplicatesSkipped: Number(skips.count),
    retried: 0,
    redriven: 0,
    dead: 0,
    lost: 0,
    doubled: 0
  }
  for (const row of rows) {
    const account = accounts.get(row.deal) ?? { events: 0, mails: 0, rolledBack: 0 }
    books.emitted += account.events
    books.rolledBack += account.rolledBack
    books.delivered += row.delivered
    books.retried += row.retried
    books.redriven += row.redriven
    books.dead += row.dead
    books.logged += row.logged
    books.handled += row.lines + row.mails
    books.lost += above(account.events - row.dead, row.logged) + above(row.logged, row.lines) +
      above(account.mails, row.mails) + above(1, row.reported)
    books.doubled += above(row.logged, account.events - row.dead) + row.linesTwice + row.mailsTwice + row.ghosts
  }
  return books satisfies Books
})

const above = (a: number, b: number) => Math.max(0, a - b)

/** What does not add up, in words; nothing when all is well. */
export const faultsIn = (books: Books): ReadonlyArray<string> =>
  [
    [books.lost === 0, `${books.lost} events or effects are lost`],
    [books.doubled === 0, `${books.doubled} events or effects are doubled, or came of a roll-back`],
    [
      books.emitted === books.delivered + books.dead,
      `${books.emitted} emitted, ${books.delivered} delivered, ${books.dead} dead`
    ],
    [books.delivered === books.logged, `${books.delivered} delivered, ${books.logged} in the log`],
    [
      books.dead === 0 && books.redriven === 1,
      `${books.dead} dead, ${books.redriven} redriven instead of the one poisoned event`
    ],
    [books.rolledBack > 0, "nothing was rolled back"],
    [books.retried > 0, "nothing was retried"],
    [books.duplicatesSkipped > 0, "no duplicate was delivered to a consumer"]
  ].flatMap(([holds, words]) => holds === true ? [] : [String(words)])
