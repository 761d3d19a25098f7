/** Subscriptions of the log, with how far behind they are; parked events of one are shown on demand. */
import type { Consumer } from "@zakops/admin/api/consumers"
import { Link } from "../../components/Link.tsx"
import { Problem } from "../../components/Problem.tsx"
import type { Column } from "../../components/Table.tsx"
import { Table } from "../../components/Table.tsx"
import { Time } from "../../components/Time.tsx"
import { countOf } from "../../format/counts.ts"
import { count } from "../../format/numbers.ts"
import { duration } from "../../format/times.ts"
import { usePolled } from "../../live/usePolled.ts"

const columnsOf = (shown: string | undefined): ReadonlyArray<Column<Consumer>> => [
  { title: "Subscription", wide: true, cell: ({ subscription }) => <span className="mono">{subscription}</span> },
  {
    title: "Behind",
    number: true,
    cell: ({ lag }) => lag.events.value === 0 ? <span className="faint">nothing</span> : plural(countOf(lag.events))
  },
  { title: "For", number: true, cell: ({ lag }) => lag.seconds === 0 ? "" : duration(lag.seconds * 1000) },
  {
    title: "Parked",
    number: true,
    cell: ({ parked, subscription }) =>
      parked.value === 0 ? <span className="faint">0</span> : (
        <Link
          path={["consumers"]}
          query={{ parked: subscription === shown ? undefined : subscription }}
          className="warn"
        >
          {countOf(parked)} <span className="unseen">parked by {subscription}</span>
        </Link>
      )
  },
  {
    title: "Position",
    number: true,
    desktop: true,
    cell: ({ newest, position }) => `${count(position)} of ${count(newest)}`
  },
  {
    title: "Run by",
    cell: ({ runner }) =>
      runner === null ? <span className="warn">nobody</span> : <span className="mono">{runner}</span>
  },
  { title: "Moved", desktop: true, cell: ({ updatedAt }) => <Time at={updatedAt} /> }
]

const plural = (events: string) => `${events} ${events === "1" ? "event" : "events"}`

export const Subscriptions = ({ shown }: { readonly shown: string | undefined }) => {
  const { data, error } = usePolled("consumers", (api) => api.consumers.list())
  if (data === undefined) return error === undefined ? <p className="empty">…</p> : <Problem error={error} />
  return (
    <>
      <Problem error={error} />
      <Table
        caption="Subscriptions"
        columns={columnsOf(shown)}
        rows={data}
        id={({ subscription }) => subscription}
        mark={({ subscription }) => subscription === shown ? "chosen" : undefined}
        empty="Nobody reads the log yet: a subscription is known from when it first ran."
      />
    </>
  )
}
