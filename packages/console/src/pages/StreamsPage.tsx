/** Aggregates that have a history, in the order of their type and id; and the way to one of them. */
import type { StreamSummary } from "@zakops/admin/api/streams"
import { TextFilter } from "../components/filters.tsx"
import { Page } from "../components/Page.tsx"
import { Pager } from "../components/Pager.tsx"
import { Problem } from "../components/Problem.tsx"
import type { Column } from "../components/Table.tsx"
import { Table } from "../components/Table.tsx"
import { count } from "../format/numbers.ts"
import { usePolled } from "../live/usePolled.ts"
import { pick } from "../routing/pick.ts"

const columns: ReadonlyArray<Column<StreamSummary>> = [
  {
    title: "Aggregate",
    wide: true,
    cell: ({ aggregateId, aggregateType }) => (
      <>
        {aggregateType} <span className="mono">{aggregateId}</span>
      </>
    )
  },
  { title: "Version", number: true, cell: ({ version }) => count(version) }
]

export const StreamsPage = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const given = pick(query, ["aggregateType", "from", "after"])
  // Where ids begin is a question about those of one type.
  const fromNowhere = given.from !== undefined && given.aggregateType === undefined
  const asked = fromNowhere ? pick(query, ["after"]) : given
  const { data, error, refresh } = usePolled(
    `streams ${JSON.stringify(asked)}`,
    (api) => api.streams.list({ query: asked }),
    5000
  )
  return (
    <Page title="Streams">
      <p className="lead">The events of one aggregate are its stream, decided one after another.</p>
      <form
        className="filters"
        role="search"
        aria-label="Find an aggregate"
        onSubmit={(event) => event.preventDefault()}
      >
        <TextFilter name="aggregateType" label="Aggregate type" value={query["aggregateType"]} first />
        <TextFilter name="from" label="Ids from" value={query["from"]} />
      </form>
      <Problem error={fromNowhere ? "Ids from needs an aggregate type: it is left out." : undefined} />
      <Problem error={error} again={refresh} />
      {data === undefined ? error === undefined && <p className="empty">…</p> : (
        <>
          <Table
            caption="Streams"
            columns={columns}
            rows={data.items}
            id={({ aggregateId, aggregateType }) => `${aggregateType} ${aggregateId}`}
            to={({ aggregateId, aggregateType }) => ["streams", aggregateType, aggregateId]}
            empty="No aggregate has a history here. Events that are only reported have none: see the tail."
          />
          <Pager next={data.next} />
        </>
      )}
    </Page>
  )
}
