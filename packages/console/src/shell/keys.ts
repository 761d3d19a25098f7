/**
 * What the keyboard does, on every page. A key alone never changes data: it moves, opens, or looks.
 *
 * Keys that are typed into a field, or together with Ctrl, Alt or Meta, are left to whom they belong to.
 */
import { useEffect } from "react"

const isField = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    target instanceof HTMLInputElement && target.type !== "checkbox" && target.type !== "radio" ||
    target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement)

const inDialog = () => document.querySelector("dialog[open]") !== null

/** `g` first, and then one of these within a second. */
export const destinations = {
  o: [],
  e: ["entries"],
  d: ["dead"],
  k: ["keys"],
  f: ["flow"],
  c: ["consumers"],
  s: ["streams"],
  t: ["tail"],
  a: ["audit"],
  h: ["doctor"]
} as const satisfies Readonly<Record<string, ReadonlyArray<string>>>

export interface Commands {
  readonly goTo: (path: ReadonlyArray<string>) => void
  readonly help: () => void
  readonly toggleUpdates: () => void
  readonly toggleTheme: () => void
  readonly refresh: () => void
}

const rows = () => [...document.querySelectorAll<HTMLElement>("[data-row]")]

/** Moves to the next row of the page's tables, or the one before. */
const moveRow = (step: 1 | -1) => {
  const all = rows()
  const active = document.activeElement
  const current = all.findIndex((row) => row === active || row.contains(active))
  const next = all[current < 0 ? (step > 0 ? 0 : all.length - 1) : current + step]
  next?.focus()
  next?.scrollIntoView({ block: "nearest" })
}

const focusFilter = () => document.querySelector<HTMLElement>("[data-filter]")?.focus()

export const useKeys = (commands: Commands): void => {
  useEffect(() => {
    let awaiting = 0
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || inDialog()) return
      if (isField(event.target)) {
        if (event.key === "Escape") (event.target as HTMLElement).blur()
        return
      }
      const key = event.key
      if (performance.now() < awaiting) {
        awaiting = 0
        const path = (destinations as Record<string, ReadonlyArray<string> | undefined>)[key]
        if (path !== undefined) {
          event.preventDefault()
          commands.goTo(path)
        }
        return
      }
      if (key === "g") awaiting = performance.now() + 1000
      else if (key === "j") moveRow(1)
      else if (key === "k") moveRow(-1)
      else if (key === "/") {
        event.preventDefault()
        focusFilter()
      } else if (key === "?") commands.help()
      else if (key === "p") commands.toggleUpdates()
      else if (key === "r") commands.refresh()
      else if (key === "T") commands.toggleTheme()
    }
    addEventListener("keydown", press)
    return () => removeEventListener("keydown", press)
  }, [commands])
}
