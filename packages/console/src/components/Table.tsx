/**
 * A table of rows that can be walked with j and k, opened with Enter, and chosen with x.
 *
 * A real table, for eyes and for screen readers; on a phone each row becomes a small card whose cells carry their column's name.
 */
import type { KeyboardEvent, ReactNode } from "react"
import { Link } from "./Link.tsx"

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => ReactNode
  /** Numbers stand at the right. */
  readonly number?: boolean
  /** Takes the room that is left, and cuts off what does not fit. */
  readonly wide?: boolean
  /** Not worth its room on a phone. */
  readonly desktop?: boolean
}

export interface Choice {
  readonly chosen: ReadonlySet<string>
  readonly toggle: (id: string) => void
  readonly toggleAll: () => void
}

interface Props<Row> {
  /** What the table holds, for those who do not see it. */
  readonly caption: string
  readonly columns: ReadonlyArray<Column<Row>>
  readonly rows: ReadonlyArray<Row>
  readonly id: (row: Row) => string
  /** Where Enter leads. */
  readonly to?: (row: Row) => ReadonlyArray<string>
  readonly choice?: Choice | undefined
  readonly mark?: (row: Row) => string | undefined
  /** What stands there when there are no rows. */
  readonly empty: ReactNode
}

function classOf<Row>({ desktop, number, wide }: Column<Row>) {
  return [number === true && "number", wide === true && "wide", desktop === true && "desktop"].filter(Boolean).join(
    " "
  ) || undefined
}

export function Table<Row>({ caption, choice, columns, empty, id, mark, rows, to }: Props<Row>) {
  if (rows.length === 0) return <div className="empty">{empty}</div>

  const press = (row: Row) => (event: KeyboardEvent<HTMLTableRowElement>) => {
    if (event.target !== event.currentTarget) return
    if (event.key === "Enter" && to !== undefined) {
      event.currentTarget.querySelector<HTMLElement>("a[data-open]")?.click()
    }
    if (event.key === "x" && choice !== undefined) choice.toggle(id(row))
  }

  return (
    <div className="table-frame">
      <table>
        <caption className="unseen">{caption}</caption>
        <thead>
          <tr>
            {choice !== undefined && (
              <th scope="col" className="choose">
                <input
                  type="checkbox"
                  aria-label="Choose all on this page"
                  checked={rows.every((row) => choice.chosen.has(id(row)))}
                  onChange={choice.toggleAll}
                />
              </th>
            )}
            {columns.map((column) => <th key={column.title} scope="col" className={classOf(column)}>{column.title}
            </th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr
              key={id(row)}
              data-row={id(row)}
              tabIndex={-1}
              onKeyDown={press(row)}
              className={[choice?.chosen.has(id(row)) === true && "chosen", mark?.(row)].filter(Boolean).join(" ") ||
                undefined}
            >
              {choice !== undefined && (
                <td className="choose">
                  <input
                    type="checkbox"
                    aria-label={`Choose ${id(row)}`}
                    checked={choice.chosen.has(id(row))}
                    onChange={() => choice.toggle(id(row))}
                  />
                </td>
              )}
              {columns.map((column, index) => (
                <td key={column.title} className={classOf(column)} data-title={column.title}>
                  {index === 0 && to !== undefined
                    ? <Link path={to(row)} open>{column.cell(row)}</Link>
                    : column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
