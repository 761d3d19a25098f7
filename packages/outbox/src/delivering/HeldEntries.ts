/**
 * What a worker holds: which entries, how far each is, and until when that is certain. Bookkeeping in memory; the database decides.
 *
 * By claim, of which each has an object of its own: a worker whose lease has run out may take an entry over from itself, and end the first
 * attempt after that. (By the names of the claims, this was a tenth of what a delivery costs the process.)
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ClaimedEntry } from "../claiming/OutboxEntry.ts"
import type { Claim } from "./settleEntries.ts"
import { nameOf } from "./settleEntries.ts"

interface Holding {
  readonly entry: ClaimedEntry
  /** The publisher was called. */
  begun: boolean
  /** Its attempt has an outcome, which waits to be settled. */
  ended: boolean
  /** Milliseconds of this process' clock, as the deadline is. */
  safeUntil: number
  readonly deadline: number
}

/** What is true of an entry now. */
export interface Standing {
  /** Nobody else can have it yet, by this process' clock: false after the process was stopped for long, say. */
  readonly isHeld: boolean
  readonly isLate: boolean
}

export class HeldEntries {
  readonly #holdings = new Map<ClaimedEntry, Holding>()
  readonly #lease: number
  /** Of the data of all that is held. */
  bytes = 0
  /** How many attempts have no outcome yet, and of how many of those the publisher was called. */
  left = 0
  onTheirWay = 0

  constructor(lease: Duration.Duration) {
    this.#lease = Duration.toMillis(lease)
  }

  get size(): number {
    return this.#holdings.size
  }

  get all(): ReadonlyArray<ClaimedEntry> {
    return [...this.#holdings.keys()]
  }

  /** Those whose attempts have no outcome yet. */
  get unended(): ReadonlyArray<{ readonly entry: ClaimedEntry; readonly begun: boolean }> {
    return [...this.#holdings.values()].filter(({ ended }) => !ended)
  }

  ofType(type: string): number {
    let count = 0
    for (const { entry } of this.#holdings.values()) if (entry.eventType === type) count++
    return count
  }

  /** The lease of these began no earlier than at `since`. */
  add(entries: ReadonlyArray<ClaimedEntry>, since: number): void {
    for (const entry of entries) {
      const deadline = since + entry.timeLeft
      this.#holdings.set(entry, { entry, begun: false, ended: false, safeUntil: since + this.#lease, deadline })
      this.bytes += entry.bytes
      this.left++
    }
  }

  begun(entry: ClaimedEntry): void {
    const holding = this.#holdings.get(entry)
    if (holding === undefined || holding.begun || holding.ended) return
    holding.begun = true
    this.onTheirWay++
  }

  ended(attempts: ReadonlyArray<{ readonly entry: ClaimedEntry }>): void {
    for (const { entry } of attempts) {
      const holding = this.#holdings.get(entry)
      if (holding === undefined || holding.ended) continue
      holding.ended = true
      this.left--
      if (holding.begun) this.onTheirWay--
    }
  }

  settled(entries: ReadonlyArray<ClaimedEntry>): void {
    for (const entry of entries) if (this.#holdings.delete(entry)) this.bytes -= entry.bytes
  }

  /** The leases of these were renewed, by a statement that was sent at `since`. */
  renewed(claims: Iterable<Claim>, since: number): void {
    const names = new Set(Array.from(claims, nameOf))
    for (const holding of this.#holdings.values()) {
      if (names.has(nameOf(holding.entry))) holding.safeUntil = since + this.#lease
    }
  }

  standing(entry: ClaimedEntry): Effect.Effect<Standing> {
    return Effect.map(Clock.currentTimeMillis, (now) => this.standingAt(entry, now))
  }

  /** `now` is a time of this process' clock. */
  standingAt(entry: ClaimedEntry, now: number): Standing {
    const { deadline = Infinity, safeUntil = 0 } = this.#holdings.get(entry) ?? {}
    return { isHeld: now < safeUntil, isLate: now >= deadline }
  }
}
