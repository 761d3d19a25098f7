/** Work that one process does for all: who is at it, and what came of it the last time. */
import type { Task } from "@zakops/admin/api/maintenance"
import { Problem } from "../../components/Problem.tsx"
import type { Column } from "../../components/Table.tsx"
import { Table } from "../../components/Table.tsx"
import { Time } from "../../components/Time.tsx"
import { usePolled } from "../../live/usePolled.ts"

const columns: ReadonlyArray<Column<Task>> = [
  { title: "Task", cell: ({ name }) => <span className="mono">{name}</span> },
  {
    title: "At it now",
    cell: ({ runner }) =>
      runner === null ? <span className="faint">nobody</span> : <span className="mono">{runner}</span>
  },
  { title: "Done", cell: ({ finishedAt }) => <Time at={finishedAt} none="never" /> },
  {
    title: "Outcome",
    wide: true,
    cell: ({ outcome }) => <span className="mono cut" title={outcome ?? undefined}>{outcome ?? ""}</span>
  }
]

export const Tasks = () => {
  const { data, error } = usePolled("tasks", (api) => api.maintenance.tasks(), 10_000)
  if (data === undefined) return error === undefined ? <p className="empty">…</p> : <Problem error={error} />
  return (
    <Table
      caption="Tasks"
      columns={columns}
      rows={data}
      id={({ name }) => name}
      empty="Nobody has done any upkeep yet: a worker does it."
    />
  )
}
