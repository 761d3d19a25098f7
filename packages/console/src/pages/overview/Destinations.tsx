/** Where events go, and whether it takes them: breaker, pause, what waits for it. */
import type { Destination } from "@zakops/admin/api/workers"
import type { Column } from "../../components/Table.tsx"
import { Table } from "../../components/Table.tsx"
import { Panel } from "../../components/Panel.tsx"
import { Problem } from "../../components/Problem.tsx"
import { Status } from "../../components/Status.tsx"
import { Time } from "../../components/Time.tsx"
import { countOf } from "../../format/counts.ts"
import { count } from "../../format/numbers.ts"
import { duration } from "../../format/times.ts"
import { PauseButton } from "../flow/PauseButton.tsx"
import { usePolled } from "../../live/usePolled.ts"

const columns: ReadonlyArray<Column<Destination>> = [
  {
    title: "Destination",
    wide: true,
    cell: ({ main, name }) => (
      <span className="mono">
        {name ?? "main"}
        {main && name !== null && (
          <>
            {" "}
            <span className="faint">main</span>
          </>
        )}
      </span>
    )
  },
  {
    title: "Breaker",
    cell: ({ breaker, pausedAt, pausedBy }) =>
      pausedAt !== null
        ? (
          <span title={`by ${pausedBy ?? "somebody"}`}>
            <Status state="paused" /> <Time at={pausedAt} />
          </span>
        )
        : breaker === null
        ? <span className="warn">no worker</span>
        : <Status state={breaker} />
  },
  {
    title: "Oldest",
    number: true,
    cell: ({ oldest }) => oldest === null ? <span className="faint">–</span> : duration(oldest)
  },
  { title: "Pending", number: true, cell: ({ pending }) => countOf(pending) },
  { title: "Held by workers", number: true, desktop: true, cell: ({ holding }) => count(holding) },
  { title: "Dead", number: true, cell: ({ dead }) => countOf(dead) },
  { title: "Workers", number: true, cell: ({ workers }) => workers },
  {
    title: "Change",
    cell: ({ name, pausedAt }) =>
      name === null ? null : <PauseButton kind="destination" name={name} paused={pausedAt !== null} />
  }
]

export const Destinations = () => {
  const { data, error } = usePolled("destinations", (api) => api.destinations.list(), 3000)
  return (
    <Panel title="Destinations" className="across">
      <Problem error={data === undefined ? error : undefined} />
      {data !== undefined && (
        <Table
          caption="Destinations"
          columns={columns}
          rows={data}
          id={({ main, name }) => name ?? `main ${main}`}
          empty="No destination is known yet: one is from when a worker first ran."
        />
      )}
    </Panel>
  )
}
