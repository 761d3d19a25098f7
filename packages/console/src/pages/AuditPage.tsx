/** Who has changed what by hand, latest first. */
import type { Deed } from "@zakops/admin/api/audit"
import { TextFilter } from "../components/filters.tsx"
import { Page } from "../components/Page.tsx"
import { Pager } from "../components/Pager.tsx"
import { Problem } from "../components/Problem.tsx"
import type { Column } from "../components/Table.tsx"
import { Table } from "../components/Table.tsx"
import { Time } from "../components/Time.tsx"
import { count } from "../format/numbers.ts"
import { usePolled } from "../live/usePolled.ts"
import { pick } from "../routing/pick.ts"

const columns: ReadonlyArray<Column<Deed>> = [
  { title: "When", cell: ({ at }) => <Time at={at} /> },
  { title: "Who", cell: ({ by }) => by },
  { title: "Action", cell: ({ action }) => <b>{action}</b> },
  { title: "How many", number: true, cell: ({ count: many }) => count(many) },
  { title: "What", wide: true, cell: ({ filter }) => <span className="mono cut" title={filter}>{filter}</span> }
]

export const AuditPage = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const asked = pick(query, ["by", "action", "after"])
  const { data, error, refresh } = usePolled(
    `audit ${JSON.stringify(asked)}`,
    (api) => api.audit.list({ query: asked }),
    5000
  )
  return (
    <Page title="Audit">
      <p className="lead">
        Every change by hand, here, by the command line or by a program, in the transaction that made it.
      </p>
      <form
        className="filters"
        role="search"
        aria-label="Filter the audit"
        onSubmit={(event) => event.preventDefault()}
      >
        <TextFilter name="by" label="Who" value={query["by"]} first />
        <TextFilter name="action" label="Action" value={query["action"]} placeholder="redrive" />
      </form>
      <Problem error={error} again={refresh} />
      {data === undefined ? error === undefined && <p className="empty">…</p> : (
        <>
          <Table
            caption="Audit"
            columns={columns}
            rows={data.items}
            id={({ id }) => String(id)}
            empty="Nobody has changed anything."
          />
          <Pager next={data.next} />
        </>
      )}
    </Page>
  )
}
