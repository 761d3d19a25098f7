/** Pauses a destination or a type of events, or resumes it, after asking. */
import { useState } from "react"
import { act } from "../../api/act.ts"
import { Dialog } from "../../components/Dialog.tsx"
import { useMayChange } from "../../shell/session.tsx"

interface Props {
  readonly kind: "type" | "destination"
  readonly name: string
  readonly paused: boolean
}

export const PauseButton = ({ kind, name, paused }: Props) => {
  const [asking, setAsking] = useState(false)
  const mayChange = useMayChange()
  if (!mayChange) return null
  const what = kind === "type" ? `events of type ${name}` : `deliveries to ${name}`
  const change = () =>
    act(
      (api) => paused ? api.flow.resume({ payload: { kind, name } }) : api.flow.pause({ payload: { kind, name } }),
      ({ changed }) =>
        paused
          ? changed ? `${name} is resumed.` : `${name} was not paused.`
          : changed
          ? `${name} is paused.`
          : `${name} was paused already.`
    )
  return (
    <>
      <button type="button" className="small" onClick={() => setAsking(true)}>
        {paused ? "Resume" : "Pause"} <span className="unseen">{name}</span>
      </button>
      {asking && (
        <Dialog
          title={paused ? `Resume ${what}?` : `Pause ${what}?`}
          action={paused ? "Resume" : "Pause"}
          act={async () => {
            await change()
            setAsking(false)
          }}
          close={() => setAsking(false)}
        >
          <p>
            {paused
              ? "What waits is taken up at once, oldest first."
              : "Entries are written as before, and none of them is delivered until it is resumed. Attempts that are under way end first."}
          </p>
        </Dialog>
      )}
    </>
  )
}
