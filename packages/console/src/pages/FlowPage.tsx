/** What is paused, by whom and since when; and pausing something else. */
import type { Pause } from "@zakops/admin/api/flow"
import type { FormEvent } from "react"
import { useState } from "react"
import { act } from "../api/act.ts"
import { Page } from "../components/Page.tsx"
import { Panel } from "../components/Panel.tsx"
import { Problem } from "../components/Problem.tsx"
import type { Column } from "../components/Table.tsx"
import { Table } from "../components/Table.tsx"
import { Time } from "../components/Time.tsx"
import { usePolled } from "../live/usePolled.ts"
import { useMayChange } from "../shell/session.tsx"
import { PauseButton } from "./flow/PauseButton.tsx"

const columns: ReadonlyArray<Column<Pause>> = [
  { title: "Paused", wide: true, cell: ({ name }) => <span className="mono">{name}</span> },
  { title: "Kind", cell: ({ kind }) => kind === "type" ? "event type" : "destination" },
  { title: "Since", cell: ({ pausedAt }) => <Time at={pausedAt} /> },
  { title: "By", cell: ({ pausedBy }) => pausedBy },
  { title: "Change", cell: ({ kind, name }) => <PauseButton kind={kind} name={name} paused /> }
]

export const FlowPage = () => {
  const { data, error, refresh } = usePolled("flow", (api) => api.flow.list())
  const mayChange = useMayChange()
  return (
    <Page title="Pauses">
      <p className="lead">
        What is paused is emitted as before and waits. It is delivered from where it stood as soon as it is resumed.
      </p>
      <Problem error={error} again={refresh} />
      {data === undefined ? error === undefined && <p className="empty">…</p> : (
        <Table
          caption="What is paused"
          columns={columns}
          rows={data}
          id={({ kind, name }) => `${kind} ${name}`}
          empty="Nothing is paused."
        />
      )}
      {mayChange && (
        <Panel title="Pause something">
          <PauseForm />
        </Panel>
      )}
    </Page>
  )
}

const PauseForm = () => {
  const [kind, setKind] = useState<"type" | "destination">("type")
  const [name, setName] = useState("")
  const { data: destinations } = usePolled("destinations", (api) => api.destinations.list(), 10_000)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    const target = { kind, name: name.trim() }
    const done = await act(
      (api) => api.flow.pause({ payload: target }),
      ({ changed }) => changed ? `${target.name} is paused.` : `${target.name} was paused already.`
    )
    if (done) setName("")
  }
  return (
    <form className="line-form" onSubmit={(event) => void submit(event)}>
      <div className="field">
        <label htmlFor="pause-kind">What</label>
        <select
          id="pause-kind"
          value={kind}
          onChange={(event) => setKind(event.target.value === "destination" ? "destination" : "type")}
        >
          <option value="type">Events of type</option>
          <option value="destination">Deliveries to</option>
        </select>
      </div>
      <div className="field">
        <label htmlFor="pause-name">{kind === "type" ? "Event type" : "Destination"}</label>
        <input
          id="pause-name"
          value={name}
          list={kind === "destination" ? "pause-known" : undefined}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setName(event.target.value)}
        />
        <datalist id="pause-known">
          {destinations?.flatMap(({ name }) => name === null ? [] : [<option key={name} value={name} />])}
        </datalist>
      </div>
      <button type="submit" disabled={name.trim() === ""}>Pause</button>
    </form>
  )
}
