/** The history of one aggregate: its events, and its state after any of them. Latest first. */
import type { LoggedEvent } from "@zakops/admin/api/streams"
import { Json } from "../components/Json.tsx"
import { Link } from "../components/Link.tsx"
import { Page } from "../components/Page.tsx"
import { Panel } from "../components/Panel.tsx"
import { Problem } from "../components/Problem.tsx"
import { indent } from "@zakops/admin/api/indent"
import { count } from "../format/numbers.ts"
import { usePolled } from "../live/usePolled.ts"
import { EventCard } from "./streams/EventCard.tsx"

interface Props {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly query: Readonly<Record<string, string>>
}

const versionIn = (text: string | undefined) =>
  text !== undefined && /^[1-9]\d{0,18}$/.test(text) ? BigInt(text) : undefined

export const StreamPage = ({ aggregateId, aggregateType, query }: Props) => {
  const stream = { aggregateType, aggregateId }
  const place = ["streams", aggregateType, aggregateId]
  const from = versionIn(query["from"])
  const version = versionIn(query["version"])
  const { data, error, refresh } = usePolled(
    `stream ${JSON.stringify([place, String(from)])}`,
    (api) =>
      api.streams.events({
        query: { ...stream, direction: "backward", limit: 50, ...(from === undefined ? {} : { from }) }
      })
  )
  const { data: state, error: stateError } = usePolled(
    `state ${JSON.stringify([place, String(version)])}`,
    (api) => api.streams.state({ query: { ...stream, ...(version === undefined ? {} : { version }) } })
  )
  const stateLink = (event: LoggedEvent) =>
    event.streamVersion === null ? null : (
      <Link
        path={place}
        query={{ ...query, version: String(event.streamVersion) }}
        current={state?.version === event.streamVersion}
      >
        state
      </Link>
    )
  return (
    <Page title={`${aggregateType} ${aggregateId}`} detail={<span className="faint">stream</span>}>
      <Problem error={error} again={refresh} />
      <div className="entry">
        <div className="entry-main">
          <Panel title="Events" aside={<span className="faint">latest first</span>}>
            {data === undefined ? error === undefined && <p className="empty">…</p> : data.items.length === 0
              ? <p className="empty">It has no events.</p>
              : (
                <ol className="events">
                  {data.items.map((event) => (
                    <EventCard
                      key={event.id}
                      event={event}
                      aside={stateLink(event)}
                      title={`${event.streamVersion ?? "–"}`}
                    />
                  ))}
                </ol>
              )}
            {(from !== undefined || data?.next != null) && (
              <nav className="pager" aria-label="Pages of the stream">
                {from !== undefined && <Link path={place} query={{ ...query, from: undefined }}>Latest</Link>}
                {data?.next != null && <Link path={place} query={{ ...query, from: data.next }}>Earlier</Link>}
              </nav>
            )}
          </Panel>
        </div>
        <div className="entry-side sticky">
          <Panel
            title={state === undefined ? "State" : `State at version ${count(state.version)}`}
            aside={version !== undefined && <Link path={place} query={{ ...query, version: undefined }}>Latest</Link>}
          >
            <Problem error={stateError} />
            {state !== undefined && (
              <>
                <p className="faint footnote">
                  {state.by === "decider"
                    ? "Folded by the decider."
                    : "The server knows no decider of this type: the last value of each field of its events."}
                  {state.masked && " Some fields are masked."}
                </p>
                <Json label="state as JSON" text={indent(state.state)} />
              </>
            )}
          </Panel>
        </div>
      </div>
    </Page>
  )
}
