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
