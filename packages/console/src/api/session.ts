/**
 * The token that the reader has signed in with. Kept for the tab alone (sessionStorage), and sent in the Authorization header: it is in no
 * cookie, so that no other site can act with it.
 *
 * An address may end in `#token=...`, which no browser sends to a server: it is taken from there once, and removed from the address and the history.
 */
import { useSyncExternalStore } from "react"

const place = "zakops.token"
const listeners = new Set<() => void>()

const read = () => {
  try {
    return sessionStorage.getItem(place) ?? ""
  } catch {
    return ""
  }
}

let token = read()
/** Whether the server has refused the token, or asked for one. */
let refused = false

const tell = () => {
  for (const listener of listeners) listener()
}

export const currentToken = (): string => token

export const signIn = (given: string): void => {
  token = given.trim()
  refused = false
  try {
    if (token === "") sessionStorage.removeItem(place)
    else sessionStorage.setItem(place, token)
  } catch {
    // Storage is forbidden here: it lasts until the page is left.
  }
  tell()
}

export const signOut = (): void => signIn("")

export const refuseToken = (): void => {
  if (refused) return
  refused = true
  tell()
}

const subscribe = (listener: () => void) => {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const useRefused = (): boolean => useSyncExternalStore(subscribe, () => refused)
export const useSignedIn = (): boolean => useSyncExternalStore(subscribe, () => token !== "")

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    // A percent sign of its own: it is taken as it stands.
    return text
  }
}

/** Takes the token out of the address, if there is one. */
export const takeTokenFromAddress = (): void => {
  const found = /^#token=(.*)$/.exec(location.hash)
  if (found?.[1] === undefined) return
  history.replaceState(null, "", "#/")
  signIn(decoded(found[1]))
}
