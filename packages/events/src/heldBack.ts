/** What is held back until a time, with all that has to stay behind it. Pure bookkeeping. */
import * as Option from "effect/Option"

interface Group<A> {
  readonly keys: Set<string>
  /** In the order in which they came. */
  readonly members: Array<{ readonly one: A; readonly nth: number }>
  dueAt: number
}

/** Groups of what shares keys, in the order in which it came. */
export class HeldBack<A> {
  readonly #keysOf: (one: A) => ReadonlyArray<string>
  #groups: Array<Group<A>> = []
  #count = 0

  constructor(keysOf: (one: A) => ReadonlyArray<string>) {
    this.#keysOf = keysOf
  }

  /** The earliest time that one is due, if any is held. */
  get nextDue(): Option.Option<number> {
    return this.#groups.length === 0 ? Option.none() : Option.some(Math.min(...this.#groups.map(({ dueAt }) => dueAt)))
  }

  /** Holds `one` back, with those that share a key with it, until `dueAt`. */
  hold(one: A, dueAt: number): void {
    const keys = this.#keysOf(one)
    const behind = this.#groups.filter((group) => keys.some((key) => group.keys.has(key)))
    this.#merge(behind, one, keys, dueAt)
  }

  /** Holds `one` back where something is held that it must not pass. */
  joins(one: A): boolean {
    const keys = this.#keysOf(one)
    const before = this.#groups.filter((group) => keys.some((key) => group.keys.has(key)))
    if (before.length === 0) return false
    this.#merge(before, one, keys, -Infinity)
    return true
  }

  /** All of what is due by `now`, in order; it is held no longer. */
  takeDue(now: number): ReadonlyArray<A> {
    const due = this.#groups.filter(({ dueAt }) => dueAt <= now)
    this.#groups = this.#groups.filter(({ dueAt }) => dueAt > now)
    return due.flatMap(({ members }) => members).toSorted((a, b) => a.nth - b.nth).map(({ one }) => one)
  }

  #merge(groups: ReadonlyArray<Group<A>>, one: A, keys: ReadonlyArray<string>, dueAt: number): void {
    const members = groups.flatMap(({ members }) => members).toSorted((a, b) => a.nth - b.nth)
    members.push({ one, nth: this.#count++ })
    this.#groups = this.#groups.filter((group) => !groups.includes(group))
    this.#groups.push({
      keys: new Set([...groups.flatMap((group) => [...group.keys]), ...keys]),
      members,
      dueAt: Math.max(dueAt, ...groups.map((group) => group.dueAt))
    })
  }
}
