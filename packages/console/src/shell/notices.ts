/** What has just been done, told for some seconds at the edge of the page, and to screen readers. */
import { useSyncExternalStore } from "react"

export interface Notice {
  readonly id: number
  readonly text: string
  readonly failed: boolean
}

/** Milliseconds. */
const shownFor = 6000

let notices: ReadonlyArray<Notice> = []
let last = 0
const listeners = new Set<() => void>()

const set = (next: ReadonlyArray<Notice>) => {
  notices = next
  for (const listener of listeners) listener()
}

export const dismiss = (id: number): void => set(notices.filter((notice) => notice.id !== id))

/** A failure stays until it is dismissed. */
export const tell = (text: string, failed = false): void => {
  const id = ++last
  set([...notices.slice(-3), { id, text, failed }])
  if (!failed) setTimeout(() => dismiss(id), shownFor)
}

const subscribe = (listener: () => void) => {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const useNotices = (): ReadonlyArray<Notice> => useSyncExternalStore(subscribe, () => notices)
