/**
 * Keeps the stream's order where a consumer is taken up again: what an earlier reader has left unacknowledged comes first, whenever the
 * server hands it out again. Pure bookkeeping.
 */

/** Holds messages until those that were left have come, and then lets all of them through in the stream's order. */
export class RedeliveryGate<M extends { readonly seq: number }> {
  readonly #last: number
  readonly #left: number
  readonly #through: (message: M) => void
  readonly #waiting = new Map<number, M>()
  #isOpen: boolean

  /**
   * @param last    the last message that was handed out before
   * @param left    how many up to that one are not acknowledged
   * @param through is given each message that goes through
   */
  constructor(last: number, left: number, through: (message: M) => void) {
    this.#last = last
    this.#left = left
    this.#through = through
    this.#isOpen = left === 0
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  add(message: M): void {
    if (this.#isOpen) return this.#through(message)
    this.#waiting.set(message.seq, message)
    let back = 0
    for (const seq of this.#waiting.keys()) if (seq <= this.#last) back++
    if (back >= this.#left) this.open()
  }

  /** Lets all of them through: nothing more is to be waited for. */
  open(): void {
    this.#isOpen = true
    const messages = [...this.#waiting.values()].toSorted((one, other) => one.seq - other.seq)
    this.#waiting.clear()
    for (const message of messages) this.#through(message)
  }
}
