/** How far the messages of each partition are handled without a gap: Kafka keeps one place for each, not a mark for each message. */

interface Place {
  readonly topic: string
  readonly partition: number
}

interface Begun<M> {
  readonly message: M
  isHandled: boolean
}

export class Progress<M extends Place> {
  readonly #open = new Map<string, Array<Begun<M>>>()

  /**
   * A message is being handled, in the order of its partition. What it gives is to be called when it is; that gives the last message up to
   * which all are, when this has moved it on.
   */
  begin(message: M): () => M | undefined {
    const name = `${message.partition}/${message.topic}`
    const open = this.#open.get(name) ?? []
    this.#open.set(name, open)
    const begun: Begun<M> = { message, isHandled: false }
    open.push(begun)
    return () => {
      begun.isHandled = true
      // Forgotten meanwhile: the partition is not ours any more, or was begun again.
      if (this.#open.get(name) !== open) return undefined
      const count = open.findIndex(({ isHandled }) => !isHandled)
      return open.splice(0, count < 0 ? open.length : count).at(-1)?.message
    }
  }

  /** Forgets everything that is being handled. */
  clear(): void {
    this.#open.clear()
  }
}
