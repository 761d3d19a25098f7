/** Entries of the outbox, by state and by whatever else is known of them. All filters are in the address. */
import { EntryState } from "@zakops/admin/api/entries"
import type { EntrySummary } from "@zakops/admin/api/entries"
import * as Schema from "effect/Schema"
import { EventType } from "../components/EventType.tsx"
import { SelectFilter, TextFilter } from "../components/filters.tsx"
import { Page } from "../components/Page.tsx"
import { Pager } from "../components/Pager.tsx"
import { Problem } from "../components/Problem.tsx"
import { Status } from "../components/Status.tsx"
import type { Column } from "../components/Table.tsx"
import { Table } from "../components/Table.tsx"
import { Time } from "../components/Time.tsx"
import { usePolled } from "../live/usePolled.ts"
import { pick, uuid } from "../routing/pick.ts"
import { EntryFinder } from "./entry/EntryFinder.tsx"

const states: ReadonlyArray<readonly [string, string]> = [
  ["", "any"],
  ...EntryState.literals.map((state) => [state, state] as const)
]

const texts = ["type", "key", "destination", "aggregateType", "aggregateId", "error", "after"] as const

/** When it is next, or was last: what the state is waiting for. */
const moment = (entry: EntrySummary) =>
  entry.state === "delivered"
    ? entry.deliveredAt
    : entry.state === "dead" || entry.state === "discarded"
    ? entry.diedAt
    : entry.state === "processing"
    ? entry.lastAttemptAt
    : entry.nextAttemptAt ?? entry.createdAt

export const entryColumns: ReadonlyArray<Column<EntrySummary>> = [
  { title: "Event", cell: ({ eventType, schemaVersion }) => <EventType type={eventType} version={schemaVersion} /> },
  {
    title: "State",
    cell: ({ blocks, state }) => (
      <>
        <Status state={state} />
        {blocks && (
          <>
            {" "}
            <span className="faint">blocks its key</span>
          </>
        )}
      </>
    )
  },
  { title: "When", cell: (entry) => <Time at={moment(entry)} /> },
  { title: "Attempts", number: true, cell: ({ attempts, maxAttempts }) => `${attempts} / ${maxAttempts}` },
  {
    title: "Key or aggregate",
    cell: ({ aggregateId, aggregateType, orderingKey }) => {
      const name = orderingKey ?? (aggregateId === null ? null : `${aggregateType ?? ""} ${aggregateId}`)
      return name === null ? null : <span className="mono cut">{name}</span>
    }
  },
  {
    title: "Destination",
    desktop: true,
    cell: ({ destination }) => destination ?? <span className="faint">main</span>
  },
  {
    title: "Error",
    wide: true,
    cell: ({ error }) => error === null ? null : <span className="cut error-text" title={error}>{error}</span>
  },
  { title: "Created", desktop: true, cell: ({ createdAt }) => <Time at={createdAt} /> }
]

export const EntriesPage = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const state = Schema.is(EntryState)(query["state"]) ? query["state"] : undefined
  const correlationId = query["correlationId"]
  const wrongId = correlationId !== undefined && correlationId !== "" && !uuid.test(correlationId)
  const asked = {
    ...pick(query, texts),
    ...(state === undefined ? {} : { state }),
    ...(correlationId === undefined || correlationId === "" || wrongId ? {} : { correlationId })
  }
  const { data, error, refresh } = usePolled(
    `entries ${JSON.stringify(asked)}`,
    (api) => api.entries.list({ query: asked })
  )
  return (
    <Page title="Entries" actions={<EntryFinder />}>
      <form className="filters" role="search" aria-label="Filter entries" onSubmit={(event) => event.preventDefault()}>
        <SelectFilter name="state" label="State" value={query["state"]} options={states} />
        <TextFilter name="type" label="Event type" value={query["type"]} first />
        <TextFilter name="key" label="Ordering key" value={query["key"]} />
        <TextFilter name="aggregateType" label="Aggregate" value={query["aggregateType"]} placeholder="type" />
        <TextFilter name="aggregateId" label="Aggregate id" value={query["aggregateId"]} />
        <TextFilter name="correlationId" label="Correlation id" value={correlationId} />
        <TextFilter name="destination" label="Destination" value={query["destination"]} placeholder="of a route" />
        <TextFilter name="error" label="Error contains" value={query["error"]} />
      </form>
      <Problem error={wrongId ? "The correlation id is no UUID: it is left out." : undefined} />
      <Problem error={error} again={refresh} />
      {data === undefined ? error === undefined && <p className="empty">…</p> : (
        <>
          <Table
            caption="Entries"
            columns={entryColumns}
            rows={data.items}
            id={({ id }) => id}
            to={({ id }) => ["entries", id]}
            empty={data.next === null
              ? "No entry matches."
              : "None among those that were looked through. There are more on the next page."}
          />
          <Pager next={data.next} />
        </>
      )}
    </Page>
  )
}
