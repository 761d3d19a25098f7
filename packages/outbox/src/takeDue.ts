/**
 * Takes due entries wherever they wait: those with no key, those with one, and those in the line of a limited or paused type; none of the
 * three waits for the others to run dry.
 *
 * Keeps to the limits: draws from the accounts of the rates what it takes, and gives back what it finds nothing for.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Limits } from "./DeliveryLimits.ts"
import type { Account } from "./drawFromRate.ts"
import { drawFromRate, giveBackToRate, millisForOne } from "./drawFromRate.ts"
import { dueEntries } from "./dueEntries.ts"
import { dueRuns } from "./dueRuns.ts"
import { dueTurns, typesInLine } from "./dueTurns.ts"
import type { Selection, Taking } from "./Selection.ts"

/** What came of one selection: how many entries it met, how many were taken, and how many set aside. */
export interface Taken {
  readonly met: number
  readonly taken: number
  readonly moved: number
}

export type Take<R> = (selection: Selection) => Effect.Effect<Taken, SqlError, R>

export interface Round {
  readonly taken: number
  /** There may be more that is due now. */
  readonly more: boolean
  /** Milliseconds until a rate has room again, where one is used up. */
  readonly again: number
}

/** Where entries wait. One that had nothing is asked again when the others leave room, or after a few rounds. */
interface Place {
  readonly ask: <R>(limit: number, take: Take<R>) => Effect.Effect<Round, SqlError, R>
  quietFor: number
}

const roundsWithout = 7

/**
 * @param inFlight how many entries of a type are being published here
 * @param bytes    of data at most in one selection; null for any number
 */
export const takeDue = (
  db: Database,
  limits: Limits,
  destination: string,
  options: { readonly bytes: number | null; readonly inFlight: (type: string) => number }
) => {
  const draw = drawFromRate(db)
  const giveBack = giveBackToRate(db)
  const inLine = typesInLine(db)
  const limited = Object.keys(limits.types ?? {})
  const taking = (limit: number): Effect.Effect<Taking> =>
    Effect.map(db.now, (time) => ({ time, limit, bytes: options.bytes, destination, limited }))
  let rounds = 0

  const from = (select: (taking: Taking) => Selection): Place["ask"] => (limit, take) =>
    Effect.gen(function*() {
      const { met, moved, taken } = yield* take(select(yield* taking(limit)))
      // Where nothing could be taken or moved, others hold it all: looking again at once would find the same.
      return { taken, more: taken + moved > 0 && (met >= limit || taken + moved < met), again: Infinity }
    })

  /** Takes with what an account allows, or as many as `wanted` where there is no rate. */
  const within = Effect.fnUntraced(function*<R>(
    account: Account | undefined,
    wanted: number,
    ask: (limit: number) => Effect.Effect<Round, SqlError, R>
  ) {
    if (account === undefined) return yield* ask(wanted)
    const drawn = yield* draw(account, wanted)
    if (drawn === 0) return { taken: 0, more: false, again: Math.ceil(millisForOne(account.rate)) }
    const round = yield* ask(drawn)
    yield* giveBack(account, drawn - round.taken)
    return round
  })

  const fromLines: Place["ask"] = (limit, take) =>
    Effect.gen(function*() {
      const types = yield* inLine
      let all: Round = { taken: 0, more: false, again: Infinity }
      // Another type first each time, so that none takes all the room.
      for (const [index] of types.entries()) {
        const type = types[(index + rounds) % types.length] ?? ""
        const { concurrency = Infinity, rate } = limits.types?.[type] ?? {}
        const room = Math.min(limit - all.taken, concurrency - options.inFlight(type))
        if (room <= 0) continue
        const account = rate === undefined ? undefined : { kind: "type", name: type, rate } as const
        all = add(all, yield* within(account, room, (most) => from((taking) => dueTurns(db, type, taking))(most, take)))
      }
      return all
    })

  const places: ReadonlyArray<Place> = [
    { ask: from((taking) => dueEntries(db, taking)), quietFor: 0 },
    { ask: from((taking) => dueRuns(db, taking)), quietFor: 0 },
    { ask: fromLines, quietFor: 0 }
  ]

  const fromPlaces = Effect.fnUntraced(function*<R>(limit: number, take: Take<R>) {
    const first = rounds++ % places.length
    const inTurn = [...places.slice(first), ...places.slice(0, first)]
    const [quiet, busy] = [inTurn.filter((place) => place.quietFor > 0), inTurn.filter((place) => place.quietFor === 0)]
    let all: Round = { taken: 0, more: false, again: Infinity }
    for (const place of [...busy, ...quiet]) {
      if (all.taken >= limit) {
        place.quietFor = Math.max(0, place.quietFor - 1)
        all = add(all, unasked)
        continue
      }
      const round = yield* place.ask(limit - all.taken, take)
      place.quietFor = round.taken === 0 && !round.more ? roundsWithout : 0
      all = add(all, round)
    }
    return all
  })

  const rate = limits.destination?.rate
  const account = rate === undefined ? undefined : { kind: "destination", name: destination, rate } as const

  /** Takes at most `limit` entries, by one selection after another, each of them handed to `take`. */
  return <R>(limit: number, take: Take<R>): Effect.Effect<Round, SqlError, R> =>
    within(account, limit, (most) => fromPlaces(most, take))
}

/** There was no room left to ask. */
const unasked: Round = { taken: 0, more: true, again: Infinity }

const add = (a: Round, b: Round): Round => ({
  taken: a.taken + b.taken,
  more: a.more || b.more,
  again: Math.min(a.again, b.again)
})
