/** All that a run has left behind, in the database and outside of it, as the checks read it. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Line } from "./ledger.ts"
import { readLines } from "./ledger.ts"
import type { Outcome, ProducerLine } from "./producerLog.ts"
import type { World } from "./World.ts"

export interface Business {
  readonly id: string
  readonly ref: string
  readonly key: string | null
  readonly n: number | null
  readonly fate: string
}

export interface Entry {
  readonly id: string
  readonly status: string
  readonly attempts: number
  readonly maxAttempts: number
  readonly diedAt: number | null
}

/** A line of the history. Times in milliseconds. */
export interface AttemptRow {
  readonly id: string
  readonly attempt: number
  readonly pid: number
  readonly outcome: string
  readonly error: string | null
  readonly startedAt: number | null
  readonly endedAt: number
}

export interface Step {
  readonly id: string
  readonly outside: boolean
  /** In microseconds, as text that can be compared as a number. */
  readonly at: number
  readonly was: string
  readonly became: string
  readonly attemptsWere: number
  readonly attempts: number
  readonly maxAttempts: number
  readonly due: number | null
  readonly leaseWas: number | null
}

export interface LogEvent {
  readonly id: string
  readonly stream: string
  readonly ofStream: boolean
}

/** What the producers have written down of a transaction. */
export interface Account {
  outcome: Outcome | undefined
  why: string | undefined
  /** Of the last try; `tried` holds those of all. */
  ids: ReadonlyArray<string>
  readonly tried: Set<string>
}

const readAccounts = (files: ReadonlyArray<string>) => {
  const accounts = new Map<string, Account>()
  for (const line of files.flatMap((file) => readLines<ProducerLine>(file))) {
    const account = accounts.get(line.ref) ?? { outcome: undefined, why: undefined, ids: [], tried: new Set() }
    accounts.set(line.ref, account)
    account.ids = line.ids
    for (const id of line.ids) account.tried.add(id)
    if (line.what === "outcome") {
      account.outcome = line.outcome
      account.why = line.why
    }
  }
  return accounts
}

const micros = (column: string) => `(extract(epoch FROM ${column}) * 1000000)::float8`

/** To be read when nothing runs any more. */
export const readBooks = (world: World) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const time = (column: string) => sql.literal(micros(column))
    const entries = (schema: string) =>
      sql<Entry>`SELECT id, status, attempts, max_attempts AS "maxAttempts", ${time("died_at")} AS "diedAt"
        FROM ${sql(schema)}.outbox`
    return {
      accounts: readAccounts(world.producerLogs),
      ledger: readLines<Line>(world.destination.ledger),
      business: yield* sql<Business>`SELECT event_id AS id, ref, key, n, fate FROM torture.business`,
      outside: yield* entries("zakops"),
      inLogOutbox: yield* entries("zakops_log"),
      history: yield* sql<AttemptRow>`
        SELECT entry_id AS id, attempt, coalesce(substring(worker FROM ':(\\d+)$'), '0')::int AS pid, outcome, error,
          ${time("started_at")} / 1000 AS "startedAt", ${time("ended_at")} / 1000 AS "endedAt"
        FROM zakops.outbox_attempts ORDER BY zakops.outbox_attempts.id`,
      journal: yield* sql<Step>`
        SELECT entry_id AS id, outside, ${time("at")} AS at, was, became, attempts_were AS "attemptsWere", attempts,
          max_attempts AS "maxAttempts", ${time("due")} AS due, ${time("lease_was")} AS "leaseWas"
        FROM torture.journal ORDER BY number`,
      log: yield* sql<LogEvent>`
        SELECT id, aggregate_type || '/' || aggregate_id AS stream, stream_version IS NOT NULL AS "ofStream"
        FROM zakops_log.agent_events AS log ORDER BY log.xid, log.position`,
      effects: yield* sql<{ id: string }>`SELECT event_id AS id FROM torture.effects`,
      fold: yield* sql<{ id: string; events: number; digest: string }>`SELECT id, events, digest FROM torture.fold`
    }
  })

export type Books = Effect.Success<ReturnType<typeof readBooks>>
