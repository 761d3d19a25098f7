/**
 * Sends together what comes while the last batch is on its way: one request for many messages, and no waiting for more to come.
 *
 * One batch at a time, so that the order of the calls is the order of sending.
 */

export interface Waiting<M> {
  readonly message: M
  /** In bytes, near enough. */
  readonly size: number
  readonly done: (failure: { readonly cause: unknown } | undefined) => void
}

export interface Limits {
  readonly messages: number
  readonly bytes: number
}

/**
 * @param send         sends a batch and resolves when all of it is stored
 * @param worthSplitting whether a batch that failed so is to be sent again one by one, because one of its messages may be to blame
 */
export const sendTogether = <M>(
  send: (messages: ReadonlyArray<M>) => Promise<unknown>,
  worthSplitting: (cause: unknown) => boolean,
  limits: Limits
): (waiting: Waiting<M>) => void => {
  let waiting: Array<Waiting<M>> = []
  let sending = false

  const takeBatch = () => {
    let bytes = 0
    let count = 0
    while (count < waiting.length && count < limits.messages) {
      bytes += waiting[count]?.size ?? 0
      if (count > 0 && bytes > limits.bytes) break
      count++
    }
    const batch = waiting.slice(0, count)
    waiting = waiting.slice(count)
    return batch
  }

  const sendBatch = async (batch: ReadonlyArray<Waiting<M>>): Promise<void> => {
    try {
      await send(batch.map(({ message }) => message))
      for (const { done } of batch) done(undefined)
    } catch (cause) {
      if (batch.length > 1 && worthSplitting(cause)) { for (const one of batch) await sendBatch([one]) }
      else for (const { done } of batch) done({ cause })
    }
  }

  const run = async () => {
    while (waiting.length > 0) await sendBatch(takeBatch())
    sending = false
  }

  return (one) => {
    waiting.push(one)
    if (sending) return
    sending = true
    // Those that are published at the same time come along.
    setImmediate(() => void run())
  }
}
