/** Settles a group of attempts, delivered and undelivered, in two statements, and counts what became of them. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Attempt } from "./attemptDelivery.ts"
import { recordExpired, recordLatencies } from "./deliveryMetrics.ts"
import type { Lane } from "./Lane.ts"
import type * as ProcessorCounts from "./ProcessorCounts.ts"
import type { Claim, Undelivered } from "./settleEntries.ts"
import { nameOf, noteFenced, settleDelivered, settleUndelivered } from "./settleEntries.ts"

/** Runs one statement: again, where it does not succeed, or not. */
export type Persistence = <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>

/**
 * Each statement is its own transaction, and tried again for itself: if the second fails, what was delivered is marked all the same.
 */
export const settleAttempts = (db: Database, destination: string, lane: Lane, persist: Persistence) => {
  const asDelivered = settleDelivered(db, lane)
  const asUndelivered = settleUndelivered(db, destination)
  const note = noteFenced(db, destination)
  return Effect.fnUntraced(function*(attempts: ReadonlyArray<Attempt>) {
    const delivered: Array<Attempt["entry"]> = []
    const undelivered: Array<Undelivered> = []
    for (const { entry, fact, heard, outcome } of attempts) {
      const reason = heard._tag === "Down" ? heard.reason : undefined
      if (fact._tag === "Delivered") delivered.push(entry)
      else if (fact._tag !== "Claimed" && fact._tag !== "Redriven" && fact._tag !== "Discarded") {
        undelivered.push({ entry, fact, outcome, reason })
      }
    }
    const settled = new Set<string>()
    const marked = delivered.length > 0 ? yield* persist(asDelivered(delivered)) : []
    yield* recordLatencies(destination, marked.map(({ latency }) => latency))
    if (undelivered.length > 0) {
      for (const claim of yield* persist(asUndelivered(undelivered))) settled.add(nameOf(claim))
    }
    const late = marked.length === delivered.length ? 0 : (yield* persist(note(unmarked(delivered, marked)))).length
    const fenced = late + undelivered.filter(({ entry }) => !settled.has(nameOf(entry))).length

    const ended = (tag: Undelivered["fact"]["_tag"]) =>
      undelivered.filter(({ entry, fact }) => fact._tag === tag && settled.has(nameOf(entry))).length
    const counts: ProcessorCounts.ProcessorCounts = {
      delivered: delivered.length - late,
      retried: ended("RetryScheduled"),
      dead: ended("Died"),
      handedBack: ended("HandedBack"),
      parked: ended("Parked"),
      fenced
    }
    yield* lane.tally.record(counts)
    yield* recordExpired(destination, undelivered.filter(({ outcome }) => outcome === "lease_expired").length)
    yield* Effect.forEach(
      undelivered.filter(({ entry, fact }) => fact._tag === "Died" && settled.has(nameOf(entry))),
      logDead
    )
    const [newer] = undelivered.flatMap(({ fact }) => fact._tag === "Parked" ? [fact.error] : [])
    if (newer !== undefined) {
      yield* Effect.logWarning(`${counts.parked} entries wait for a newer build, the first of them: ${newer}`)
    }
    if (fenced > 0) {
      yield* Effect.logWarning(
        `${fenced} entries were settled by others: their leases had run out here, or a crash of the server had forgotten their claims`
      )
    }
    return counts
  })
}

const unmarked = (delivered: ReadonlyArray<Attempt["entry"]>, marked: ReadonlyArray<Claim>) => {
  const names = new Set(marked.map(nameOf))
  return delivered.filter((entry) => !names.has(nameOf(entry)))
}

const logDead = ({ entry, fact }: Undelivered) =>
  Effect.logError(`outbox entry ${entry.id} is dead: ${fact._tag === "Died" ? fact.error : ""}`)
