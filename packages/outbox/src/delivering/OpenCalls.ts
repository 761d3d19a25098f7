/**
 * The calls of a publisher that wait for their answers, each given the same time. Bookkeeping in memory; `expire` has to be called when the
 * time of one is over.
 *
 * Whoever waits is called by the fiber of the call itself, when that has ended. (Two fibers and a timer for each call, to wait for it and to
 * watch its time, cost as much as all else that a delivery does in this process.)
 */
import type * as Fiber from "effect/Fiber"
import type { Answer, Calling } from "./attemptDelivery.ts"

interface OpenCall {
  readonly call: Fiber.Fiber<unknown, unknown>
  /** Milliseconds of this process' clock. */
  until: number
  readonly ended: (answer: Answer) => void
}

export class OpenCalls {
  // In the order in which they began, which is the one in which their time runs out.
  readonly #open = new Set<OpenCall>()
  readonly #timeout: number

  /** @param timeout milliseconds that each call is given */
  constructor(timeout: number) {
    this.#timeout = timeout
  }

  /** `ended` is called once, with undefined when there is no answer in time; not at all after `abandon`. */
  add({ call }: Calling, now: number, ended: (answer: Answer) => void): void {
    const open: OpenCall = { call, until: now + this.#timeout, ended }
    this.#open.add(open)
    call.addObserver((exit) => {
      if (this.#open.delete(open)) ended(exit)
    })
  }

  /** Gives up those whose time is over. Gives the milliseconds until it has to be called again. */
  expire(now: number): number {
    for (const open of this.#open) {
      // The clock may have gone back since.
      open.until = Math.min(open.until, now + this.#timeout)
      if (open.until > now) return open.until - now
      this.#open.delete(open)
      open.call.interruptUnsafe()
      open.ended(undefined)
    }
    return this.#timeout
  }

  /** Interrupts all of them, and waits for none. */
  abandon(): void {
    const open = [...this.#open]
    this.#open.clear()
    for (const { call } of open) call.interruptUnsafe()
  }
}
