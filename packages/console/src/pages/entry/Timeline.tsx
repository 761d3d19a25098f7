/** What happened to an entry, from its emission to now, latest last; attempts that did not deliver it with who made them and why. */
import type { EntryDetail } from "@zakops/admin/api/entries"
import type { ReactNode } from "react"
import { Time } from "../../components/Time.tsx"
import { duration, exact } from "../../format/times.ts"
import { TraceLink } from "./TraceLink.tsx"

interface Happening {
  readonly key: string
  readonly at: Date | null
  readonly tone: string
  readonly title: string
  readonly detail?: ReactNode
}

const outcomes: Readonly<Record<string, string>> = {
  failed: "failed",
  timed_out: "timed out",
  lease_expired: "its lease expired, the worker was gone",
  handed_back: "handed back, not charged",
  parked: "parked, that build could not read it",
  fenced: "fenced, another worker had it by then",
  deadline_passed: "its deadline had passed"
}

const attempts = ({ history }: EntryDetail): ReadonlyArray<Happening> =>
  history.map((attempt, index) => ({
    key: `attempt ${index}`,
    at: attempt.endedAt,
    tone: attempt.outcome === "handed_back" || attempt.outcome === "fenced" ? "discarded" : "pending",
    title: `Attempt ${attempt.attempt}: ${outcomes[attempt.outcome] ?? attempt.outcome}`,
    detail: (
      <>
        <p className="faint">
          {attempt.worker !== null && (
            <>
              by <span className="mono">{attempt.worker}</span>
              {" · "}
            </>
          )}
          to <span className="mono">{attempt.destination}</span>
          {attempt.startedAt !== null && ` · took ${duration(attempt.endedAt.getTime() - attempt.startedAt.getTime())}`}
          {attempt.traceId !== null && (
            <>
              {" · "}
              <TraceLink traceId={attempt.traceId} />
            </>
          )}
        </p>
        {attempt.error !== null && <pre className="error-block small" tabIndex={0}>{attempt.error}</pre>}
      </>
    )
  }))

const end = (detail: EntryDetail): ReadonlyArray<Happening> => {
  const { claimedBy, entry, leaseUntil } = detail
  const by = claimedBy === null ? undefined : (
    <p className="faint">
      by <span className="mono">{claimedBy}</span>
    </p>
  )
  switch (entry.state) {
    case "delivered":
      return [{ key: "end", at: entry.deliveredAt, tone: "delivered", title: "Delivered", detail: by }]
    case "dead":
      return [{ key: "end", at: entry.diedAt, tone: "dead", title: "Dead: delivered no more by itself" }]
    case "discarded":
      return [
        { key: "died", at: entry.diedAt, tone: "dead", title: "Dead" },
        { key: "end", at: detail.discardedAt, tone: "discarded", title: "Discarded: given up by somebody" }
      ]
    case "processing":
      return [{
        key: "end",
        at: entry.lastAttemptAt,
        tone: "processing",
        title: `Attempt ${entry.attempts} is under way`,
        detail: (
          <>
            {by}
            {leaseUntil !== null && (
              <p className="faint">
                its lease ends <Time at={leaseUntil} />
              </p>
            )}
          </>
        )
      }]
    case "behind":
      return [{ key: "end", at: null, tone: "waiting", title: "Waits for another entry of its key" }]
    case "held":
      return [{ key: "end", at: null, tone: "waiting", title: "Held: its type is paused, or has a limit" }]
    case "pending":
      return [{ key: "end", at: entry.nextAttemptAt, tone: "waiting", title: `Attempt ${entry.attempts + 1} is due` }]
  }
}

export const Timeline = ({ detail }: { readonly detail: EntryDetail }) => {
  const { entry } = detail
  const happenings: ReadonlyArray<Happening> = [
    { key: "emitted", at: entry.createdAt, tone: "processing", title: "Emitted, in the transaction of its change" },
    ...attempts(detail),
    ...end(detail)
  ]
  return (
    <ol className="timeline">
      {happenings.map(({ at, detail: words, key, title, tone }) => (
        <li key={key} className={tone}>
          <span className="timeline-mark" aria-hidden="true" />
          <div>
            <p className="timeline-title">{title}</p>
            {words}
          </div>
          <p className="timeline-time">
            {at !== null && (
              <>
                <Time at={at} />
                <span className="faint">{exact(at, true)}</span>
              </>
            )}
          </p>
        </li>
      ))}
    </ol>
  )
}
