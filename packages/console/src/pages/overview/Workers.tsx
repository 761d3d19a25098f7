/** The processors that run, as they last told of themselves. */
import type { Worker } from "@zakops/admin/api/workers"
import type { Column } from "../../components/Table.tsx"
import { Table } from "../../components/Table.tsx"
import { Panel } from "../../components/Panel.tsx"
import { Problem } from "../../components/Problem.tsx"
import { Status } from "../../components/Status.tsx"
import { Time } from "../../components/Time.tsx"
import { count, perSecond } from "../../format/numbers.ts"
import { usePolled } from "../../live/usePolled.ts"

const columns: ReadonlyArray<Column<Worker>> = [
  {
    title: "Worker",
    wide: true,
    cell: ({ destination, name, version }) => (
      <span className="mono">
        {name} <span className="faint">{destination} · {version}</span>
      </span>
    )
  },
  {
    title: "Last seen",
    cell: ({ alive, seenAt }) =>
      alive ? <Time at={seenAt} /> : (
        <span className="warn">
          gone, <Time at={seenAt} />
        </span>
      )
  },
  { title: "Signals", cell: ({ listener }) => <Status state={listener} /> },
  { title: "Breaker", cell: ({ breaker }) => <Status state={breaker} /> },
  { title: "A second", number: true, cell: ({ perSecond: rate }) => perSecond(rate) },
  {
    title: "Share",
    number: true,
    desktop: true,
    cell: ({ share }) => share === null ? <span className="faint">–</span> : `${Math.round(share * 100)}%`
  },
  { title: "Holding", number: true, cell: ({ holding }) => count(holding) },
  { title: "Delivered", number: true, cell: ({ delivered }) => count(delivered) },
  { title: "Failed", number: true, desktop: true, cell: ({ failed }) => count(failed) },
  { title: "Fenced", number: true, desktop: true, cell: ({ fenced }) => count(fenced) }
]

export const Workers = () => {
  const { data, error } = usePolled("workers", (api) => api.workers.list(), 3000)
  return (
    <Panel title="Workers" className="across">
      <Problem error={data === undefined ? error : undefined} />
      {data !== undefined && (
        <Table
          caption="Workers"
          columns={columns}
          rows={data}
          id={({ id }) => id}
          mark={({ alive }) => alive ? undefined : "gone"}
          empty="No worker runs: what is pending stays so. Start one with zakops worker."
        />
      )}
    </Panel>
  )
}
