/**
 * What a redrive would meet: each dead letter is decoded against the event definitions of this build. Changes nothing, and locks nothing.
 *
 * It says what this build can read, not what the destination will take.
 */
import type { AnyEventDefinition, Services } from "@zakops/events/EventDefinition"
import { NewerThanThisBuild } from "@zakops/events/EventDefinition"
import type { UndecodableEvent } from "@zakops/events/EventDefinition"
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { CheckedFilter } from "./DeadFilter.ts"
import { whereDead } from "./DeadFilter.ts"
import { eventColumns } from "./eventColumns.ts"
import { envelopeOf } from "../claiming/OutboxEntry.ts"

/** How many there are of a kind, and the first 5 of them. */
export interface Findings {
  readonly count: number
  readonly first: ReadonlyArray<{ readonly id: string; readonly eventType: string; readonly reason: string }>
}

export interface DryRun {
  /** How many the selection finds: the sum of the others. */
  readonly matching: number
  /** How many would go: this build can read them. */
  readonly ready: number
  /** Of a version that this build does not know yet. */
  readonly newer: Findings
  readonly undecodable: Findings
  /** Of a type that no definition was given for. */
  readonly unknownType: Findings
}

type Verdict = "ready" | "newer" | "undecodable" | "unknownType"

/** Memory holds this many events at a time, each at most 12 MiB and mostly far smaller. */
const pageSize = 100
const mostExamples = 5

export const rehearse = (db: Database) =>
  Effect.fnUntraced(function*<D extends AnyEventDefinition>(filter: CheckedFilter, definitions: ReadonlyArray<D>) {
    const { now, sql, table } = db
    const known = new Map(definitions.map((definition) => [definition.type, definition]))
    const time = yield* now
    const counts: Record<Verdict, number> = { ready: 0, newer: 0, undecodable: 0, unknownType: 0 }
    const examples: Record<Verdict, Array<Findings["first"][number]>> = {
      ready: [],
      newer: [],
      undecodable: [],
      unknownType: []
    }

    let after = "0"
    let size = pageSize
    while (size === pageSize) {
      const rows = yield* sql<{ id: string; event_type: string; oversize: boolean; seq: string }>`
        SELECT ${eventColumns(sql, time)}, o.seq::text AS seq
        FROM ${table.outbox} o WHERE ${whereDead(db, filter, time)} AND o.seq > ${after}::bigint
        ORDER BY o.seq LIMIT ${pageSize}::int`
      for (const row of rows) {
        const { reason, verdict } = yield* judge(row, known.get(row.event_type))
        counts[verdict]++
        if (examples[verdict].length < mostExamples) {
          examples[verdict].push({ id: row.id, eventType: row.event_type, reason })
        }
      }
      after = rows.at(-1)?.seq ?? after
      size = rows.length
    }

    const findings = (verdict: Verdict): Findings => ({ count: counts[verdict], first: examples[verdict] })
    return {
      matching: counts.ready + counts.newer + counts.undecodable + counts.unknownType,
      ready: counts.ready,
      newer: findings("newer"),
      undecodable: findings("undecodable"),
      unknownType: findings("unknownType")
    } satisfies DryRun
  })

const judge = <D extends AnyEventDefinition>(
  row: { readonly event_type: string; readonly oversize: boolean },
  definition: D | undefined
): Effect.Effect<{ readonly verdict: Verdict; readonly reason: string }, never, Services<D>> => {
  if (definition === undefined) {
    return Effect.succeed({ verdict: "unknownType", reason: `no definition of ${JSON.stringify(row.event_type)}` })
  }
  const envelope = envelopeOf(row)
  if (Result.isFailure(envelope)) return Effect.succeed({ verdict: "undecodable", reason: envelope.failure })
  // What a definition in a list needs is lost in the type of the list's members.
  const decoded = definition.decode(envelope.success) as Effect.Effect<
    unknown,
    NewerThanThisBuild | UndecodableEvent,
    Services<D>
  >
  return Effect.match(decoded, {
    onSuccess: () => ({ verdict: "ready", reason: "" }) as const,
    onFailure: (error) => ({
      verdict: error instanceof NewerThanThisBuild ? "newer" : "undecodable",
      reason: error.message
    })
  })
}
