/** Events that a subscription has put aside, to be tried again or given up: those that are chosen, or all. */
import type { ParkedEvent } from "@zakops/admin/api/consumers"
import { useMemo, useState } from "react"
import { act } from "../../api/act.ts"
import { Dialog } from "../../components/Dialog.tsx"
import { EventType } from "../../components/EventType.tsx"
import { Link } from "../../components/Link.tsx"
import { Pager } from "../../components/Pager.tsx"
import { Panel } from "../../components/Panel.tsx"
import { Problem } from "../../components/Problem.tsx"
import { Status } from "../../components/Status.tsx"
import type { Column } from "../../components/Table.tsx"
import { Table } from "../../components/Table.tsx"
import { Time } from "../../components/Time.tsx"
import { useChoice } from "../../components/useChoice.ts"
import { count, plural } from "../../format/numbers.ts"
import { usePolled } from "../../live/usePolled.ts"
import { useMayChange } from "../../shell/session.tsx"

const reasons = {
  newer: ["notice", "newer than this build"],
  failed: ["serious", "failed"],
  behind: ["warning", "behind another"]
} as const

const columns: ReadonlyArray<Column<ParkedEvent>> = [
  {
    title: "Event",
    cell: ({ eventId, eventType, schemaVersion }) => (
      <Link path={["entries", eventId]}>
        <EventType type={eventType} version={schemaVersion} />
      </Link>
    )
  },
  { title: "Reason", cell: ({ reason }) => <Status state={reasons[reason][0]}>{reasons[reason][1]}</Status> },
  { title: "Attempts", number: true, cell: ({ attempts }) => attempts },
  { title: "Position", number: true, cell: ({ position }) => count(position) },
  { title: "Error", wide: true, cell: ({ error }) => <span className="cut error-text" title={error}>{error}</span> },
  { title: "Parked", cell: ({ parkedAt }) => <Time at={parkedAt} /> }
]

export const Parked = (
  { after, subscription }: { readonly subscription: string; readonly after: string | undefined }
) => {
  const asked = { subscription, ...(after === undefined ? {} : { after }) }
  const { data, error } = usePolled(
    `parked ${JSON.stringify(asked)}`,
    (api) => api.consumers.parked({ query: asked })
  )
  const ids = useMemo(() => data?.items.map(({ eventId }) => eventId) ?? [], [data])
  const choice = useChoice(ids)
  const mayChange = useMayChange()
  const [asking, setAsking] = useState<"retry" | "discard" | undefined>()
  const chosen = [...choice.chosen]
  const events = chosen.length > 0 ? chosen : "all" as const
  const which = chosen.length > 0 ? plural(chosen.length, "chosen event") : "all parked events"

  const change = async () => {
    const payload = { subscription, events }
    const done = asking === "retry"
      ? await act(
        (api) => api.consumers.retryParked({ payload }),
        ({ retried }) => `${plural(retried, "event")} will be tried again by whoever runs it.`
      )
      : await act(
        (api) => api.consumers.discardParked({ payload }),
        ({ discarded }) => `${plural(discarded, "event")} given up by ${subscription}.`
      )
    if (done) choice.clear()
    setAsking(undefined)
  }

  return (
    <Panel
      title={`Parked by ${subscription}`}
      aside={
        <>
          {mayChange && data !== undefined && data.items.length > 0 && (
            <>
              <button type="button" className="small" onClick={() => setAsking("discard")}>
                Discard {chosen.length > 0 ? chosen.length : "all"}…
              </button>
              <button type="button" className="small" onClick={() => setAsking("retry")}>
                Retry {chosen.length > 0 ? chosen.length : "all"}…
              </button>
            </>
          )}
          <Link path={["consumers"]}>Close</Link>
        </>
      }
    >
      <Problem error={error} />
      {data !== undefined && (
        <>
          <Table
            caption={`Events parked by ${subscription}`}
            columns={columns}
            rows={data.items}
            id={({ eventId }) => eventId}
            choice={mayChange ? choice : undefined}
            empty={after === undefined ? "It has parked nothing." : "It has parked nothing after these."}
          />
          <Pager next={data.next} />
        </>
      )}
      {asking !== undefined && (
        <Dialog
          title={`${asking === "retry" ? "Retry" : "Discard"} ${which}?`}
          action={asking === "retry" ? "Retry" : "Discard"}
          danger={asking === "discard"}
          phrase={asking === "discard" ? "discard" : undefined}
          act={change}
          close={() => setAsking(undefined)}
        >
          <p>
            {asking === "retry"
              ? "Whoever runs the subscription tries them again, and those behind them follow."
              : `${subscription} will never have handled them; those behind them are tried. This cannot be undone.`}
          </p>
        </Dialog>
      )}
    </Panel>
  )
}
