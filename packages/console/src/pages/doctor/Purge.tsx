/** Deletes what is old, by hand, after counting it. */
import { PurgeKind } from "@zakops/admin/api/maintenance"
import * as Schema from "effect/Schema"
import type { FormEvent } from "react"
import { useState } from "react"
import { act } from "../../api/act.ts"
import { Dialog } from "../../components/Dialog.tsx"
import { Panel } from "../../components/Panel.tsx"
import { Problem } from "../../components/Problem.tsx"
import { countOf } from "../../format/counts.ts"
import { plural } from "../../format/numbers.ts"
import { usePolled } from "../../live/usePolled.ts"
import { useMayChange } from "../../shell/session.tsx"

const kinds: Readonly<Record<typeof PurgeKind.Type, string>> = {
  delivered: "delivered entries",
  dead: "dead letters",
  discarded: "discarded entries",
  attempts: "rows of attempts"
}

export const Purge = () => {
  const [kind, setKind] = useState<typeof PurgeKind.Type>("delivered")
  const [age, setAge] = useState("30d")
  const [asking, setAsking] = useState(false)
  const mayChange = useMayChange()
  if (!mayChange) return null
  const wrong = !/^\d{1,9}[smhd]$/.test(age)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    setAsking(!wrong)
  }
  return (
    <Panel title="Delete what is old">
      <form className="line-form" onSubmit={submit}>
        <div className="field">
          <label htmlFor="purge-kind">What</label>
          <select
            id="purge-kind"
            value={kind}
            onChange={(event) => Schema.is(PurgeKind)(event.target.value) && setKind(event.target.value)}
          >
            {PurgeKind.literals.map((one) => <option key={one} value={one}>{kinds[one]}</option>)}
          </select>
        </div>
        <div className="field">
          <label htmlFor="purge-age">Older than</label>
          <input
            id="purge-age"
            className="age"
            value={age}
            aria-invalid={wrong}
            placeholder="30d"
            onChange={(event) => setAge(event.target.value.trim())}
          />
        </div>
        <button type="submit" disabled={wrong}>Count…</button>
        <p className="faint">A number and s, m, h or d. Workers do this by themselves where an age is set.</p>
      </form>
      {asking && <Confirm kind={kind} age={age} close={() => setAsking(false)} />}
    </Panel>
  )
}

const Confirm = (
  { age, close, kind }: { readonly kind: typeof PurgeKind.Type; readonly age: string; readonly close: () => void }
) => {
  const payload = { kind, olderThan: age }
  const { data, error } = usePolled(`purge ${kind} ${age}`, (api) => api.maintenance.preview({ payload }), null)
  return (
    <Dialog
      title={`Delete ${kinds[kind]} older than ${age}?`}
      action="Delete"
      danger
      phrase={`delete ${kind}`}
      blocked={data === undefined || data.value === 0}
      act={async () => {
        const done = await act(
          (api) => api.maintenance.purge({ payload }),
          ({ deleted }) => `${plural(deleted, "row")} deleted.`
        )
        if (done) close()
      }}
      close={close}
    >
      <Problem error={error} />
      {data === undefined ? error === undefined && <p className="faint">Counting…</p> : (
        <p>
          <b>{countOf(data)}</b> would be deleted, in small batches. This cannot be undone.
        </p>
      )}
      {kind === "dead" && <p>Dead letters that nobody has redriven are lost with it.</p>}
    </Dialog>
  )
}
