/** An event of the log: its head in one line, and its data when it is opened. */
import type { LoggedEvent } from "@zakops/admin/api/streams"
import type { ReactNode } from "react"
import { useState } from "react"
import { EventType } from "../../components/EventType.tsx"
import { Json } from "../../components/Json.tsx"
import { Link } from "../../components/Link.tsx"
import { Time } from "../../components/Time.tsx"
import { indent } from "@zakops/admin/api/indent"
import { count } from "../../format/numbers.ts"

interface Props {
  readonly event: LoggedEvent
  /** At the left: its version, or its position. */
  readonly title: string
  readonly aside?: ReactNode
  /** Leads to the aggregate. */
  readonly aggregate?: boolean
}

export const EventCard = ({ aggregate = false, aside, event, title }: Props) => {
  const [open, setOpen] = useState(false)
  const { aggregateId, aggregateType } = event
  return (
    <li
      className="event"
      data-row={event.id}
      tabIndex={-1}
      onKeyDown={(press) => {
        if (press.key === "Enter" && press.target === press.currentTarget) setOpen(!open)
      }}
    >
      <div className="event-head">
        <span className="event-number">{title}</span>
        <button type="button" className="plain" aria-expanded={open} onClick={() => setOpen(!open)}>
          <EventType type={event.eventType} version={event.schemaVersion} />
        </button>
        {aggregate && aggregateType !== null && aggregateId !== null && (
          <Link path={["streams", aggregateType, aggregateId]} className="cut">
            {aggregateType} <span className="mono">{aggregateId}</span>
          </Link>
        )}
        {!open && <span className="event-data mono cut">{event.data ?? ""}</span>}
        <span className="event-aside">
          {aside}
          <Time at={event.createdAt} />
        </span>
      </div>
      {open && (
        <div className="event-body">
          <p className="faint">
            <Link path={["entries", event.id]}>
              <code>{event.id}</code>
            </Link>
            {` · position ${count(event.position)}`}
            {event.streamVersion !== null && ` · version ${count(event.streamVersion)}`}
            {event.masked && " · some fields are masked"}
          </p>
          {event.data === null
            ? (
              <p className="empty">
                {event.dataBytes === 0 ? "It has no data." : `${count(event.dataBytes)} bytes: not shown.`}
              </p>
            )
            : <Json label={`Data of ${event.eventType}`} text={indent(event.data)} />}
        </div>
      )}
    </li>
  )
}
