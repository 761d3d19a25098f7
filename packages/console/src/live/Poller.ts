/**
 * Asks again and again, for as long as somebody looks. No React, no browser: what it needs of the world is given.
 *
 * One question at a time; the next is asked `every` milliseconds after the answer to the last. While nobody looks (the tab is hidden, or the
 * reader has stopped it) nothing is asked; as soon as somebody does, it asks at once. After a failure it waits twice as long each time, up to 30 s;
 * the last answer stays, and is marked by its age. A question that is overtaken by `restart` is given up.
 */
export interface Polled<A, E> {
  readonly data: A | undefined
  readonly error: E | undefined
  /** When the last answer came, by the clock given; undefined before the first. */
  readonly at: number | undefined
}

export interface World {
  readonly now: () => number
  /** Gives how to call it off. */
  readonly later: (millis: number, run: () => void) => () => void
}

export interface PollerOptions<A, E> {
  /** Milliseconds; undefined: once, and then only when refreshed. */
  readonly every: number | undefined
  /** Does not reject. */
  readonly ask: (signal: AbortSignal) => Promise<Answer<A, E>>
  readonly changed: (state: Polled<A, E>) => void
  readonly world: World
  readonly initial?: A | undefined
}

export type Answer<A, E> =
  | { readonly _tag: "fresh"; readonly data: A }
  | { readonly _tag: "failed"; readonly error: E }

const longestWait = 30_000

export class Poller<A, E> {
  private state: Polled<A, E>
  private readonly options: PollerOptions<A, E>
  private watched = false
  private failures = 0
  private callOff: (() => void) | undefined
  private asking: AbortController | undefined

  constructor(options: PollerOptions<A, E>) {
    this.options = options
    this.state = { data: options.initial, error: undefined, at: undefined }
  }

  /** Whether somebody looks. The first time, and whenever somebody does again, it asks at once. */
  watch(watched: boolean): void {
    if (watched === this.watched) return
    this.watched = watched
    if (watched) this.refresh()
    else this.pause()
  }

  /** Asks now, whoever looks. */
  refresh(): void {
    this.pause()
    const asking = new AbortController()
    this.asking = asking
    void this.options.ask(asking.signal).then((answer) => {
      if (asking.signal.aborted) return
      this.asking = undefined
      this.take(answer)
      this.plan()
    })
  }

  stop(): void {
    this.watched = false
    this.pause()
  }

  private pause() {
    this.callOff?.()
    this.callOff = undefined
    this.asking?.abort()
    this.asking = undefined
  }

  private take(answer: Answer<A, E>) {
    const at = this.options.world.now()
    if (answer._tag === "failed") {
      this.failures++
      this.state = { ...this.state, error: answer.error }
    } else {
      this.failures = 0
      this.state = { data: answer.data, error: undefined, at }
    }
    this.options.changed(this.state)
  }

  private plan() {
    const { every, world } = this.options
    if (every === undefined || !this.watched) return
    const wait = this.failures === 0 ? every : Math.min(longestWait, Math.max(every, 1000) * 2 ** this.failures)
    this.callOff = world.later(wait, () => this.refresh())
  }
}
