/** Light or dark: as the system is, unless the reader has chosen; the choice is kept for this browser. */
import { useSyncExternalStore } from "react"

const place = "zakops.theme"
const listeners = new Set<() => void>()
const systemDark = matchMedia("(prefers-color-scheme: dark)")

const isDark = () => (document.documentElement.dataset["theme"] ?? (systemDark.matches ? "dark" : "light")) === "dark"

const tell = () => {
  for (const listener of listeners) listener()
}

export const restoreTheme = (): void => {
  try {
    const chosen = localStorage.getItem(place)
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset["theme"] = chosen
  } catch {
    // As the system is.
  }
}

export const toggleTheme = (): void => {
  const next = isDark() ? "light" : "dark"
  document.documentElement.dataset["theme"] = next
  try {
    localStorage.setItem(place, next)
  } catch {
    // It lasts until the page is left.
  }
  tell()
}

const subscribe = (listener: () => void) => {
  listeners.add(listener)
  systemDark.addEventListener("change", listener)
  return () => {
    listeners.delete(listener)
    systemDark.removeEventListener("change", listener)
  }
}

export const useDark = (): boolean => useSyncExternalStore(subscribe, isDark)
