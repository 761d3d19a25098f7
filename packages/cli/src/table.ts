/** Text in columns, and what goes into their cells. */
import type { DeadGroup } from "@zakops/outbox/deadLetters/countDead"

/** Text that others have written, without the control characters that a terminal would obey. */
export const harmless = (text: string): string => text.replaceAll(/\p{Cc}+/gu, " ")

/** Each column is as wide as its widest cell. Control characters in a cell do not reach the terminal. */
export const asTable = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = [head, ...rows].map((row) => row.map(harmless))
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n")
}

/** A time in UTC, to the second; nothing where there is none. */
export const when = (time: Date | null): string => time === null ? "" : `${time.toISOString().slice(0, 19)}Z`

const mostCharacters = 100

/** As much of a long text as a line has room for. */
export const shortened = (text: string): string => {
  const characters = Array.from(text)
  return characters.length <= mostCharacters ? text : `${characters.slice(0, mostCharacters - 3).join("")}...`
}

/** Groups of dead letters. */
export const groupsTable = (by: string, groups: ReadonlyArray<DeadGroup>): string =>
  asTable(
    [by, "count", "oldest", "newest"],
    groups.map(({ count, group, newest, oldest }) => [
      group === null ? "(none)" : shortened(group),
      String(count),
      when(oldest),
      when(newest)
    ])
  )

/** Milliseconds that have passed, in the two largest units: `3m 20s`. */
export const age = (millis: number): string => {
  const seconds = Math.max(0, millis / 1000)
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${Math.floor(seconds % 60)}s`
  const hours = Math.floor(seconds / 3600)
  return hours < 48 ? `${hours}h ${Math.floor(seconds % 3600 / 60)}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`
}

/** Names with their values, one a line; those without a value are left out. */
export const asFields = (fields: ReadonlyArray<readonly [string, string | null | undefined]>): string => {
  const [first, ...others] = fields.flatMap(([name, value]) =>
    value === null || value === undefined || value === "" ? [] : [[name, value]]
  )
  return first === undefined ? "" : asTable(first, others)
}
