/** All that is known of one entry: what became of it, attempt by attempt, its data, and what stands before and behind it in its key. */
import { uuid } from "../routing/pick.ts"
import { Page } from "../components/Page.tsx"
import { Panel } from "../components/Panel.tsx"
import { Problem } from "../components/Problem.tsx"
import { Json } from "../components/Json.tsx"
import { Status } from "../components/Status.tsx"
import { count } from "../format/numbers.ts"
import { indent } from "@zakops/admin/api/indent"
import { usePolled } from "../live/usePolled.ts"
import { AtDestinations } from "./entry/AtDestinations.tsx"
import { EntryActions } from "./entry/EntryActions.tsx"
import { Facts } from "./entry/Facts.tsx"
import { Neighbours } from "./entry/Neighbours.tsx"
import { Timeline } from "./entry/Timeline.tsx"

export const EntryPage = ({ id }: { readonly id: string }) => {
  if (!uuid.test(id)) {
    return (
      <Page title="Entry">
        <Problem error={`${id} is no UUID: no entry has it.`} />
      </Page>
    )
  }
  return <KnownEntry id={id} />
}

const KnownEntry = ({ id }: { readonly id: string }) => {
  const { data, error, refresh } = usePolled(`entry ${id}`, (api) => api.entries.show({ params: { id } }))
  if (data === undefined) {
    return (
      <Page title="Entry" detail={<code>{id}</code>}>
        <Problem error={error} again={refresh} />
      </Page>
    )
  }
  const { entry } = data
  return (
    <Page
      title={entry.eventType === "" ? "(no type)" : entry.eventType}
      detail={
        <>
          <Status state={entry.state} /> <code className="selectable">{entry.id}</code>
        </>
      }
      actions={<EntryActions entry={entry} />}
    >
      <Problem error={error} again={refresh} />
      {entry.error !== null && (entry.state !== "delivered") && (
        <Panel title={entry.state === "dead" ? "Why it is dead" : "The last error"}>
          <pre className="error-block" tabIndex={0}>{entry.error}</pre>
        </Panel>
      )}
      <div className="entry">
        <div className="entry-main">
          <Panel title="What happened">
            <Timeline detail={data} />
          </Panel>
          <Panel
            title="Data"
            aside={
              <span className="faint">{count(data.dataBytes)} bytes{data.masked && " · some fields are masked"}</span>
            }
          >
            {data.unreadable !== null && <Problem error={`It cannot be read as an event: ${data.unreadable}`} />}
            {data.data === null
              ? <p className="empty">{data.dataBytes === 0 ? "It has none." : "Larger than 1 MiB: not shown."}</p>
              : <Json label="data as JSON" text={indent(data.data)} />}
          </Panel>
          <Panel title="Headers">
            <Json label="headers as JSON" text={indent(data.headers)} />
          </Panel>
        </div>
        <div className="entry-side">
          <Panel title="Facts">
            <Facts detail={data} />
          </Panel>
          {data.destinations.length > 1 && (
            <Panel title="At each destination">
              <AtDestinations detail={data} />
            </Panel>
          )}
          {entry.orderingKey !== null && (
            <Panel title="Its key">
              <Neighbours detail={data} />
            </Panel>
          )}
        </div>
      </div>
    </Page>
  )
}
