/** The route that the address names, and going to another one. */
import { useMemo, useSyncExternalStore } from "react"
import type { Route } from "./route.ts"
import { format, parse } from "./route.ts"

const subscribe = (listener: () => void) => {
  addEventListener("hashchange", listener)
  return () => removeEventListener("hashchange", listener)
}

export const useRoute = (): Route => {
  const hash = useSyncExternalStore(subscribe, () => location.hash)
  return useMemo(() => parse(hash), [hash])
}

export const go = (path: ReadonlyArray<string>, query: Readonly<Record<string, string | undefined>> = {}): void => {
  location.hash = format(path, query)
}

/** Changes parameters of the route one is on. What is typed letter by letter replaces the address, so that Back leads to the page before. */
export const setQuery = (changes: Readonly<Record<string, string | undefined>>): void => {
  const { path, query } = parse(location.hash)
  const next = format(path, { ...query, ...changes })
  if (next === location.hash) return
  history.replaceState(null, "", next)
  dispatchEvent(new HashChangeEvent("hashchange"))
}
