/** Projections and their versions: which is live, how far each is, and building one anew. */
import type { Projection } from "@zakops/admin/api/consumers"
import { useState } from "react"
import { act } from "../../api/act.ts"
import { Dialog } from "../../components/Dialog.tsx"
import { Link } from "../../components/Link.tsx"
import { Problem } from "../../components/Problem.tsx"
import { Progress } from "../../components/Progress.tsx"
import { Status } from "../../components/Status.tsx"
import type { Column } from "../../components/Table.tsx"
import { Table } from "../../components/Table.tsx"
import { atLeast, count } from "../../format/numbers.ts"
import { usePolled } from "../../live/usePolled.ts"
import { useMayChange } from "../../shell/session.tsx"

/** The server counts no further. */
const mostParked = 1000

const condition = ({ error, resetRequested, status }: Projection) =>
  error !== null ? "stopped" : resetRequested ? "rebuild asked for" : status

const idOf = ({ name, version }: Projection) => `${name} v${version}`

interface Asking {
  readonly action: "rebuild" | "switch"
  readonly row: Projection
}

export const Projections = () => {
  const { data, error } = usePolled("projections", (api) => api.projections.list(), 1000)
  const mayChange = useMayChange()
  const [asking, setAsking] = useState<Asking | undefined>()

  const columns: ReadonlyArray<Column<Projection>> = [
    {
      title: "Projection",
      cell: ({ name, version }) => (
        <span className="mono">
          {name}
          <span className="version">v{version}</span>
        </span>
      )
    },
    { title: "State", cell: (row) => <Status state={condition(row)} /> },
    {
      title: "Read",
      cell: (row) => <Progress value={row.progress} label={`How much of the log ${idOf(row)} has read`} />
    },
    {
      title: "Position",
      number: true,
      desktop: true,
      cell: ({ newest, position }) => `${count(position)} of ${count(newest)}`
    },
    {
      title: "Parked",
      number: true,
      cell: ({ parked, subscription }) =>
        parked === 0
          ? <span className="faint">0</span>
          : (
            <Link path={["consumers"]} query={{ parked: subscription }} className="warn">
              {atLeast(parked, parked >= mostParked)} <span className="unseen">parked by {subscription}</span>
            </Link>
          )
    },
    {
      title: "Run by",
      cell: ({ runner }) =>
        runner === null ? <span className="warn">nobody</span> : <span className="mono">{runner}</span>
    },
    {
      title: "Error",
      wide: true,
      cell: ({ error }) => error === null ? null : <span className="cut error-text" title={error}>{error}</span>
    },
    ...(mayChange
      ? [{
        title: "Change",
        cell: (row: Projection) => (
          <span className="row-actions">
            {row.canReset && row.status !== "retired" && (
              <button
                type="button"
                className="small"
                disabled={row.resetRequested}
                onClick={() => setAsking({ action: "rebuild", row })}
              >
                Rebuild <span className="unseen">{idOf(row)}</span>
              </button>
            )}
            {row.status !== "live" && (
              <button
                type="button"
                className="small"
                onClick={() => setAsking({ action: "switch", row })}
              >
                Make live <span className="unseen">{idOf(row)}</span>
              </button>
            )}
          </span>
        )
      }]
      : [])
  ]

  const change = async ({ action, row: { name, version } }: Asking) => {
    await (action === "rebuild"
      ? act(
        (api) => api.projections.rebuild({ payload: { name, version } }),
        () => `${name} v${version} will be emptied and built anew by whoever runs it.`
      )
      : act(
        (api) => api.projections.switch({ payload: { name, version } }),
        () => `${name} v${version} will be live as soon as it has caught up.`
      ))
    setAsking(undefined)
  }

  if (data === undefined) return error === undefined ? <p className="empty">…</p> : <Problem error={error} />
  return (
    <>
      <Problem error={error} />
      <Table
        caption="Projections"
        columns={columns}
        rows={data}
        id={idOf}
        empty="There is no projection yet: one is known from when it first ran."
      />
      {asking !== undefined && (
        <Dialog
          title={asking.action === "rebuild" ? `Rebuild ${idOf(asking.row)}?` : `Make ${idOf(asking.row)} live?`}
          action={asking.action === "rebuild" ? "Rebuild" : "Make live"}
          danger={asking.action === "rebuild"}
          phrase={asking.action === "rebuild" ? asking.row.name : undefined}
          act={() => change(asking)}
          close={() => setAsking(undefined)}
        >
          <p>
            {asking.action === "rebuild"
              ? "Its read model is emptied and built anew from the first event. Until it has caught up, readers see only part of it."
              : "It becomes the version that is read, as soon as it has caught up; the one that is live now rests."}
          </p>
        </Dialog>
      )}
    </>
  )
}
