/** Everything on the page is asked anew: the reader pressed r, or has changed something. */
const listeners = new Set<() => void>()

export const onRefresh = (listener: () => void): () => void => {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const refreshAll = (): void => {
  for (const listener of listeners) listener()
}
