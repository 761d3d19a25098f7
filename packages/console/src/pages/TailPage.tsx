/** What happens, as it happens: the log's events, latest first. */
import { TextFilter } from "../components/filters.tsx"
import { Page } from "../components/Page.tsx"
import { Problem } from "../components/Problem.tsx"
import { Status } from "../components/Status.tsx"
import { count } from "../format/numbers.ts"
import { toggleUpdates } from "../live/attention.ts"
import { useTail } from "../live/useTail.ts"
import { pick, uuid } from "../routing/pick.ts"
import { EventCard } from "./streams/EventCard.tsx"

const words = { connecting: "connecting", live: "live", lost: "lost, and opened again", stopped: "stopped" } as const
const tones = { connecting: "pending", live: "live", lost: "dead", stopped: "discarded" } as const

export const TailPage = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const { correlationId, ...rest } = pick(query, ["type", "aggregateType", "aggregateId", "correlationId"])
  const wrongId = correlationId !== undefined && !uuid.test(correlationId)
  const filter = { ...rest, ...(correlationId === undefined || wrongId ? {} : { correlationId }) }
  const { error, events, state } = useTail(JSON.stringify(filter), filter)
  return (
    <Page
      title="Tail"
      detail={<Status state={tones[state]}>{words[state]}</Status>}
      actions={<button type="button" onClick={toggleUpdates}>{state === "stopped" ? "Resume" : "Stop"}</button>}
    >
      <form className="filters" role="search" aria-label="Filter the tail" onSubmit={(event) => event.preventDefault()}>
        <TextFilter name="type" label="Event type" value={query["type"]} first />
        <TextFilter name="aggregateType" label="Aggregate type" value={query["aggregateType"]} />
        <TextFilter name="aggregateId" label="Aggregate id" value={query["aggregateId"]} />
        <TextFilter name="correlationId" label="Correlation id" value={query["correlationId"]} />
      </form>
      <Problem error={wrongId ? "The correlation id is no UUID: it is left out." : undefined} />
      <Problem error={error} />
      {events.length === 0
        ? <p className="empty">{state === "connecting" ? "…" : "Nothing has happened yet."}</p>
        : (
          <ol className="events panel" aria-label="Events, latest first">
            {events.map((event) => <EventCard key={event.id} event={event} title={count(event.position)} aggregate />)}
          </ol>
        )}
    </Page>
  )
}
