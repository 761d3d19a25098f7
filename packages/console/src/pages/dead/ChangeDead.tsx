/**
 * Redrives or discards dead letters, after showing what that would meet: how many, of which types, with which errors, and how many of them
 * this build could read now.
 *
 * The number shown is sent along: where another one matches by then, nothing is changed.
 */
import type { DeadSelection, Preview } from "@zakops/admin/api/dead"
import { useState } from "react"
import { act } from "../../api/act.ts"
import { Dialog } from "../../components/Dialog.tsx"
import { Problem } from "../../components/Problem.tsx"
import { count, plural } from "../../format/numbers.ts"
import { usePolled } from "../../live/usePolled.ts"
import { PreviewOf } from "./PreviewOf.tsx"

interface Props {
  readonly action: "redrive" | "discard"
  readonly selection: DeadSelection
  /** What is selected, in words. */
  readonly which: string
  readonly close: () => void
  readonly done?: () => void
}

/** Many, or for ever: has to be typed. */
const phraseOf = (action: "redrive" | "discard", preview: Preview | undefined) =>
  preview === undefined || preview.count === 0 || (preview.count === 1 && action === "redrive")
    ? undefined
    : `${action} ${preview.count}`

export const ChangeDead = ({ action, close, done, selection, which }: Props) => {
  const [rate, setRate] = useState("")
  const { data, error } = usePolled(
    `preview ${JSON.stringify(selection)}`,
    (api) => api.dead.preview({ payload: { selection } }),
    null
  )
  const wrongRate = rate !== "" && !(Number(rate) > 0)
  const name = action === "redrive" ? "Redrive" : "Discard"

  const change = async () => {
    if (data === undefined) return
    const expected = data.count
    const changed = action === "redrive"
      ? await act(
        (api) => api.dead.redrive({ payload: { selection, expected, ...(rate === "" ? {} : { rate: Number(rate) }) } }),
        ({ redriven }) => `${plural(redriven, "entry", "entries")} will be tried again.`
      )
      : await act(
        (api) => api.dead.discard({ payload: { selection, expected } }),
        ({ discarded }) => `${plural(discarded, "entry", "entries")} given up.`
      )
    if (!changed) return
    done?.()
    close()
  }

  return (
    <Dialog
      title={`${name} ${which}?`}
      action={data === undefined ? name : `${name} ${count(data.count)}`}
      danger={action === "discard"}
      phrase={phraseOf(action, data)}
      blocked={data === undefined || data.count === 0 || wrongRate}
      act={change}
      close={close}
    >
      <p>
        {action === "redrive"
          ? "They are tried again with all their attempts, and keep their id, settings and history."
          : "They will never be delivered, and their keys go on without them. This cannot be undone."}
      </p>
      <Problem error={error} />
      {data === undefined
        ? error === undefined && <p className="faint">Counting…</p>
        : <PreviewOf preview={data} action={action} />}
      {action === "redrive" && data !== undefined && data.count > 1 && (
        <div className="field">
          <label htmlFor="rate">At most this many a second</label>
          <input
            id="rate"
            inputMode="decimal"
            value={rate}
            placeholder="all at once"
            aria-invalid={wrongRate}
            onChange={(event) => setRate(event.target.value.trim())}
          />
        </div>
      )}
    </Dialog>
  )
}
