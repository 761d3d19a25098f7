/** Whether somebody looks: the tab is visible, and the reader has not stopped the updates. */
import { useSyncExternalStore } from "react"

let stopped = false
const listeners = new Set<() => void>()

const tell = () => {
  for (const listener of listeners) listener()
}

const subscribe = (listener: () => void) => {
  listeners.add(listener)
  document.addEventListener("visibilitychange", listener)
  return () => {
    listeners.delete(listener)
    document.removeEventListener("visibilitychange", listener)
  }
}

export const toggleUpdates = (): void => {
  stopped = !stopped
  tell()
}

/** Whether the reader has stopped the updates. */
export const useStopped = (): boolean => useSyncExternalStore(subscribe, () => stopped)

export const useAttention = (): boolean => useSyncExternalStore(subscribe, () => !stopped && !document.hidden)
