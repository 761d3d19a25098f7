/**
 * Takes due entries wherever they wait: those with no key, those with one, and those in the line of a limited or paused type; none of the
 * three waits for the others to run dry.
 *
 * Keeps to the limits: draws from the accounts of the rates what it takes, and gives back what it finds nothing for. It draws no more
 * than can be delivered at once, so that what was drawn does not pile up and go out together.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Limits } from "../DeliveryLimits.ts"
import type { Account } from "./drawFromRate.ts"
import { drawFromRate, giveBackToRate, millisForOne } from "./drawFromRate.ts"
import { dueEntries } from "./dueEntries.ts"
import { dueRuns } from "./dueRuns.ts"
import { dueTurns, typesInLine } from "./dueTurns.ts"
import type { Mark, Selection, Taking } from "./Selection.ts"
import { beginning } from "./Selection.ts"

/** What came of one selection: how many entries it met, how many were taken, and how many set aside. */
export interface Taken {
  readonly met: number
  readonly taken: number
  readonly moved: number
  /** Where the last one that it met stands, where it tells. */
  readonly mark: Mark | undefined
  /** How many ordering keys those that were taken have, where that is known. */
  readonly keys?: number | undefined
}

export type Take<R> = (selection: Selection) => Effect.Effect<Taken, SqlError, R>

export interface Round {
  readonly taken: number
  /** There may be more that is due now. */
  readonly more: boolean
  /** Milliseconds until a rate has room again, where one is used up. */
  readonly again: number
}

/**
 * Where a round asks: everywhere that there may be something; where there was something of late, and everywhere else only if nothing is
 * there now; or no more than where there was something of late. What is left out has its turn after a few rounds.
 */
export type Looking = "everywhere" | "busyFirst" | "busyOnly"

/** How the destination is delivered to. */
export interface Capacity {
  /** Bytes of data that there is room for; null for any number. */
  readonly bytes: () => number | null
  /** How many more can be begun at once. */
  readonly free: () => number
  /** How many entries of a type are being published here. */
  readonly inFlight: (type: string) => number
  /** Entries of one key that are taken together at most. */
  readonly run: number
  /** Entries of one key that are taken before those of the next. */
  readonly depth: number
  readonly suspectsApart: boolean
  readonly looking: Looking
}

interface Asking<R> {
  readonly capacity: Capacity
  readonly take: Take<R>
  readonly limit: number
  /** How many entries may be met at most. */
  readonly meet: number
}

type Asked = <R>(asking: Asking<R>) => Effect.Effect<Round & { readonly moved: number }, SqlError, R>

/**
 * Where entries wait. One that had nothing is asked again when the others leave room, or (unless only busy ones are asked) have nothing
 * either, or after a few rounds.
 */
interface Place {
  readonly ask: Asked
  quietFor: number
  /** The last round that it had something in. */
  had: number
  /** All that was met in front had to be set aside: there may be much more of it. */
  crowded: boolean
}

/** How many entries are met for each ordering key that is needed, to begin with. */
const leastForKey = 8
/**
 * Milliseconds of a look that are worth nothing else; and for how many times as long as a longer one, and how long at most, the next begin
 * behind what was met. So what others hold up in the index (an old snapshot keeps every entry there that was delivered since) takes about a
 * twentieth of the time (a snapshot as old as 50,000 deliveries: 0.7 against 0.4 of the undisturbed rate).
 */
const cheap = 10
const looksAhead = 19
const longestAhead = 2000
const roundsWithout = 7
/** How many are met where it is crowded. */
const crowd = 2000
/** Milliseconds between looks at an account that is used up: a rate of a thousand a second is not worth a thousand looks. */
const shortestWait = 50
const waitFor = ({ rate }: Account) => Math.max(shortestWait, Math.ceil(millisForOne(rate)))

/**
 * `route` is the one whose entries are taken, null for the main destination; `destination` is the publisher's name. `only` leaves what has a
 * key, or a line, to others.
 */
export const takeDue = (
  db: Database,
  limits: Limits,
  destination: string,
  route: string | null,
  only?: "unkeyed"
) => {
  const draw = drawFromRate(db)
  const giveBack = giveBackToRate(db)
  const inLine = typesInLine(db, route)
  const limited = Object.keys(limits.types ?? {})
  const rate = limits.destination?.rate
  // What one destination may be sent of a type is no matter of another's.
  const accountOf = (type: string) => route === null ? type : `${route}/${type}`
  /** Of the accounts that had nothing to draw, when they are looked at again. */
  const usedUp = new Map<string, number>()
  let rounds = 0

  const from =
    (select: (taking: Taking) => Selection) => <R>({ capacity, limit, meet, take }: Asking<R>, after: Mark) =>
      Effect.gen(function*() {
        const time = yield* db.now
        const { suspectsApart } = capacity
        // An entry behind another one would be drawn for long before its call.
        const run = rate === undefined ? capacity.run : 1
        const depth = Math.min(run, capacity.depth)
        const bytes = capacity.bytes()
        const among = { time, limit, meet, run, depth, bytes, destination, route, limited, suspectsApart, after }
        const selection = select(among)
        const { keys, mark, met, moved, taken } = yield* take(selection)
        // Where nothing could be taken or moved, others hold it all: looking again at once would find the same.
        const more = taken + moved > 0 && (met >= selection.limit || taken + moved < met)
        return { taken, moved, more, keys, again: Infinity, mark: taken + moved === met ? mark : undefined }
      })

  const fromBeginning = (select: (taking: Taking) => Selection): Asked => {
    const look = from(select)
    return (asking) => look(asking, beginning)
  }

  /**
   * Where looks take long, most of them begin behind what the last one has met. What has come to lie in front of that (a retry, what was
   * handed back or committed late) is found by the next look from the beginning.
   */
  const fromMark = (select: (taking: Taking) => Selection): Asked => {
    const look = from(select)
    let mark = beginning
    let wholeAgain = -Infinity
    return (asking) =>
      Effect.gen(function*() {
        const began = yield* Clock.currentTimeMillis
        // A clock that has gone back is no reason to wait longer.
        const whole = asking.capacity.looking === "everywhere" || began >= wholeAgain ||
          began < wholeAgain - longestAhead
        const round = yield* look(asking, whole ? beginning : mark)
        mark = round.mark ?? mark
        const ended = yield* Clock.currentTimeMillis
        if (whole) {
          const took = ended - began
          wholeAgain = took <= cheap ? -Infinity : ended + Math.min(longestAhead, took * looksAhead)
        }
        return whole || round.more ? round : { ...round, again: Math.max(1, wholeAgain - ended) }
      })
  }

  /**
   * Of what is met all is locked, and of few keys most is taken behind what is met. So where they have filled the room, no more is met the
   * next time than so many for each key (1,000 keys with a hundred entries each: 0.78 instead of 0.73 of the rate without keys).
   */
  const fromFewKeys = (select: (taking: Taking) => Selection): Asked => {
    const look = from(select)
    // For each entry that filled the room, how many keys it took; where it was not filled, or nobody knows, any number.
    let keysForOne = Infinity
    let metForKey = leastForKey
    return (asking) =>
      Effect.gen(function*() {
        const { capacity, limit } = asking
        const meet = capacity.looking === "everywhere"
          ? asking.meet
          : Math.min(asking.meet, Math.ceil(limit * keysForOne * metForKey))
        const round = yield* look({ ...asking, meet }, beginning)
        const isFilled = round.taken === limit
        const wasTooFew = !isFilled && meet < asking.meet
        if (wasTooFew) metForKey *= 4
        else if (isFilled) metForKey = Math.max(leastForKey, metForKey * 0.9)
        keysForOne = isFilled && round.keys !== undefined ? round.keys / limit : Infinity
        // What is left of keys that are being delivered lies in front, and what is behind it may be free.
        return wasTooFew ? { ...round, more: true } : round
      })
  }

  /** Takes with what an account allows, or as many as `wanted` where there is no rate. */
  const within = Effect.fnUntraced(function*<R>(
    account: Account | undefined,
    wanted: number,
    capacity: Capacity,
    ask: (limit: number) => Effect.Effect<Round, SqlError, R>
  ) {
    if (account === undefined) return yield* ask(wanted)
    const again = waitFor(account)
    const most = Math.min(wanted, capacity.free())
    if (most === 0) return { ...nothing, again }
    const { kind, name } = account
    const now = yield* Clock.currentTimeMillis
    const rest = (usedUp.get(`${kind}/${name}`) ?? -Infinity) - now
    if (capacity.looking !== "everywhere" && rest > 0 && rest <= again) return { ...nothing, again: rest }
    const drawn = yield* draw(account, most)
    if (drawn === 0) {
      usedUp.set(`${kind}/${name}`, now + again)
      return { ...nothing, again }
    }
    const round = yield* ask(drawn)
    yield* giveBack(account, drawn - round.taken)
    return round
  })

  const fromLines: Asked = (asking) =>
    Effect.gen(function*() {
      const { capacity, limit } = asking
      const types = yield* inLine
      let all = nothing
      // Another type first each time, so that none takes all the room.
      for (const [index] of types.entries()) {
        const type = types[(index + rounds) % types.length] ?? ""
        const { concurrency = Infinity, rate } = limits.types?.[type] ?? {}
        const room = Math.min(limit - all.taken, concurrency - capacity.inFlight(type))
        if (room <= 0) continue
        const account = rate === undefined ? undefined : { kind: "type", name: accountOf(type), rate } as const
        const ask = fromBeginning((taking) => dueTurns(db, type, taking))
        all = add(all, yield* within(account, room, capacity, (most) => ask({ ...asking, limit: most, meet: most })))
      }
      return { ...all, moved: 0 }
    })

  const fresh = { quietFor: 0, had: 0, crowded: false }
  const unkeyed: Place = { ask: fromMark((taking) => dueEntries(db, taking)), ...fresh }
  const places: ReadonlyArray<Place> = only === "unkeyed" ? [unkeyed] : [
    unkeyed,
    { ask: fromFewKeys((taking) => dueRuns(db, taking)), ...fresh },
    { ask: fromLines, ...fresh }
  ]

  const fromPlaces = Effect.fnUntraced(function*<R>(capacity: Capacity, limit: number, take: Take<R>) {
    const first = rounds++ % places.length
    const inTurn = [...places.slice(first), ...places.slice(0, first)]
    const busy = inTurn.filter((place) => place.quietFor === 0)
    // Where events come one by one, the next one most likely comes where the last one came.
    const quiet = inTurn.filter((place) => place.quietFor > 0).toSorted((a, b) => b.had - a.had)
    const latest = places.toSorted((a, b) => b.had - a.had)[0]
    let all = nothing
    for (const place of [...busy, ...quiet]) {
      const room = limit - all.taken
      const mayBeLeftOut = capacity.looking !== "everywhere" && place.quietFor > 0
      // While events keep coming to one place, looking for them there alone halves the time that they wait.
      if (room <= 0 || (mayBeLeftOut && all.taken > 0)) {
        place.quietFor = Math.max(0, place.quietFor - 1)
        all = add(all, unasked)
        continue
      }
      if (mayBeLeftOut && place !== latest && capacity.looking === "busyOnly") {
        place.quietFor--
        continue
      }
      const meet = place.crowded ? Math.max(room, crowd) : room
      const round = yield* place.ask({ capacity, take, limit: room, meet })
      place.quietFor = round.taken === 0 && !round.more ? roundsWithout : 0
      if (round.taken > 0) place.had = rounds
      place.crowded = round.moved > 0 && round.taken === 0
      all = add(all, round)
    }
    return all
  })

  const account = rate === undefined ? undefined : { kind: "destination", name: destination, rate } as const

  /** Takes at most `limit` entries, by one selection after another, each of them handed to `take`. */
  return <R>(capacity: Capacity, limit: number, take: Take<R>): Effect.Effect<Round, SqlError, R> =>
    within(account, limit, capacity, (most) => fromPlaces(capacity, most, take))
}

const nothing: Round = { taken: 0, more: false, again: Infinity }
/** It was not asked. */
const unasked: Round = { taken: 0, more: true, again: Infinity }

const add = (a: Round, b: Round): Round => ({
  taken: a.taken + b.taken,
  more: a.more || b.more,
  again: Math.min(a.again, b.again)
})
