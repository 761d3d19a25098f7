/** Ordering keys that a dead entry holds up: what is at their head, and how much waits behind it. */
import type { BlockedKey } from "@zakops/admin/api/keys"
import { useState } from "react"
import { act } from "../api/act.ts"
import { Dialog } from "../components/Dialog.tsx"
import { EventType } from "../components/EventType.tsx"
import { Link } from "../components/Link.tsx"
import { Page } from "../components/Page.tsx"
import { Pager } from "../components/Pager.tsx"
import { Problem } from "../components/Problem.tsx"
import type { Column } from "../components/Table.tsx"
import { Table } from "../components/Table.tsx"
import { Time } from "../components/Time.tsx"
import { atLeast } from "../format/numbers.ts"
import { usePolled } from "../live/usePolled.ts"
import { pick } from "../routing/pick.ts"
import { useMayChange } from "../shell/session.tsx"
import { ChangeDead } from "./dead/ChangeDead.tsx"

/** The server counts no further. */
const mostWaiting = 1000

type Action = "redrive" | "unblock" | "discard"

export const KeysPage = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const asked = pick(query, ["after"])
  const { data, error, refresh } = usePolled(
    `keys ${JSON.stringify(asked)}`,
    (api) => api.keys.blocked({ query: asked })
  )
  const mayChange = useMayChange()
  const [asking, setAsking] = useState<{ readonly action: Action; readonly row: BlockedKey } | undefined>()
  const close = () => setAsking(undefined)

  const columns: ReadonlyArray<Column<BlockedKey>> = [
    { title: "Key", cell: ({ key }) => <span className="mono cut">{key}</span> },
    { title: "Waiting behind", number: true, cell: ({ waiting }) => atLeast(waiting, waiting >= mostWaiting) },
    { title: "Since", cell: ({ since }) => <Time at={since} none="unknown" /> },
    {
      title: "Head",
      cell: ({ eventType, headId }) => (
        <Link path={["entries", headId]}>
          <EventType type={eventType} />
        </Link>
      )
    },
    { title: "Error", wide: true, cell: ({ error }) => <span className="cut error-text" title={error}>{error}</span> },
    ...(mayChange
      ? [{
        title: "Change",
        cell: (row: BlockedKey) => (
          <span className="row-actions">
            {(["redrive", "unblock", "discard"] as const).map((action) => (
              <button
                key={action}
                type="button"
                className="small"
                onClick={() => setAsking({ action, row })}
              >
                {names[action]} <span className="unseen">{row.key}</span>
              </button>
            ))}
          </span>
        )
      }]
      : [])
  ]

  return (
    <Page title="Blocked keys">
      <p className="lead">
        Events of one key are delivered one after another. Where one of them is dead, those behind it wait, until it is
        redriven, or the key goes on without it.
      </p>
      <Problem error={error} again={refresh} />
      {data === undefined ? error === undefined && <p className="empty">…</p> : (
        <>
          <Table
            caption="Blocked keys"
            columns={columns}
            rows={data.items}
            id={({ key }) => key}
            to={({ headId }) => ["entries", headId]}
            empty={asked.after === undefined ? "No key is blocked." : "No key after these is blocked."}
          />
          <Pager next={data.next} />
        </>
      )}
      {asking?.action === "redrive" && (
        <ChangeDead
          action="redrive"
          selection={{ ids: [asking.row.headId] }}
          which={`the head of ${asking.row.key}`}
          close={close}
        />
      )}
      {asking?.action === "unblock" && (
        <Dialog
          title={`Let ${asking.row.key} go on?`}
          action="Unblock"
          act={async () => {
            await act(
              (api) => api.keys.unblock({ payload: { key: asking.row.key } }),
              () => `${asking.row.key} goes on. What is dead stays a dead letter.`
            )
            close()
          }}
          close={close}
        >
          <p>
            What waits behind the dead entry is delivered now, before it. The entry stays a dead letter, and comes to
            the end of the key when it is redriven.
          </p>
        </Dialog>
      )}
      {asking?.action === "discard" && (
        <Dialog
          title={`Discard the head of ${asking.row.key}?`}
          action="Discard"
          danger
          phrase="discard"
          act={async () => {
            await act(
              (api) => api.keys.discardHead({ payload: { key: asking.row.key } }),
              () => `The head of ${asking.row.key} is given up, and the key goes on.`
            )
            close()
          }}
          close={close}
        >
          <p>The dead entry will never be delivered, and the key goes on without it. This cannot be undone.</p>
        </Dialog>
      )}
    </Page>
  )
}

const names: Readonly<Record<Action, string>> = { redrive: "Redrive", unblock: "Unblock", discard: "Discard" }
