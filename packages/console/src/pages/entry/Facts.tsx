/** What an entry is made of, as pairs. */
import type { EntryDetail } from "@zakops/admin/api/entries"
import type { ReactNode } from "react"
import { Link } from "../../components/Link.tsx"
import { Time } from "../../components/Time.tsx"
import { count, plural } from "../../format/numbers.ts"
import { duration } from "../../format/times.ts"
import { TraceLink } from "./TraceLink.tsx"

export const Facts = ({ detail }: { readonly detail: EntryDetail }) => {
  const { entry, logged, retryWaits, traceId } = detail
  const { aggregateId, aggregateType, orderingKey } = entry
  const facts: ReadonlyArray<readonly [string, ReactNode]> = [
    ["Event", <code key="" className="selectable">{entry.eventId}</code>],
    [
      "Type",
      <Link key="" path={["entries"]} query={{ type: entry.eventType }}>{entry.eventType} v{entry.schemaVersion}</Link>
    ],
    [
      "Correlation",
      (
        <Link key="" path={["entries"]} query={{ correlationId: entry.correlationId }}>
          <code>{entry.correlationId}</code>
        </Link>
      )
    ],
    [
      "Aggregate",
      aggregateType === null || aggregateId === null ? null : (
        <Link path={["streams", aggregateType, aggregateId]}>
          {aggregateType} <code>{aggregateId}</code>
        </Link>
      )
    ],
    [
      "Ordering key",
      orderingKey === null ? null : (
        <>
          <Link path={["entries"]} query={{ key: orderingKey }}>
            <code>{orderingKey}</code>
          </Link>
          <span className="faint">{detail.onDead === "block" ? " · waits when dead" : " · goes on when dead"}</span>
        </>
      )
    ],
    ["Destination", entry.destination ?? "main"],
    ["Attempts", `${entry.attempts} of ${entry.maxAttempts}`],
    ["Waits", retryWaits === null ? null : retryWaits.map((wait) => duration(wait)).join(", ")],
    ["Redrives", entry.redrives === 0 ? null : count(entry.redrives)],
    [
      "Crashes",
      detail.crashes === 0 ? null : `${plural(detail.crashes, "worker was", "workers were")} gone in the middle of it`
    ],
    ["Deadline", detail.expiresAt === null ? null : <Time key="" at={detail.expiresAt} />],
    ["Sequence", count(entry.seq)],
    ["Log position", logged === null ? null : count(logged.position)],
    ["Stream version", logged?.streamVersion == null ? null : count(logged.streamVersion)],
    ["Trace", traceId === null ? null : <TraceLink key="" traceId={traceId} />]
  ]
  return (
    <dl className="facts">
      {facts.map(([name, value]) =>
        value === null ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        )
      )}
    </dl>
  )
}
