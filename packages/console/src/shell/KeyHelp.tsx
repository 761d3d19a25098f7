/** The keys, for whoever pressed `?`. */
import { useEffect, useRef } from "react"
import { places } from "./pages.tsx"

const others: ReadonlyArray<readonly [string, string]> = [
  ["j  k", "next row, row before"],
  ["Enter", "open the row"],
  ["x", "choose the row"],
  ["/", "go to the first filter"],
  ["r", "ask anew"],
  ["p", "stop and resume the updates"],
  ["T", "light or dark"],
  ["Esc", "leave a field, close a dialog"],
  ["?", "these keys"]
]

export const KeyHelp = ({ close }: { readonly close: () => void }) => {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const home = dialog.current
    if (home?.open === false) home.showModal()
  }, [])
  const rows = [
    ...places.flatMap((group) => group.places.map(({ key, title }) => [`g ${key}`, title] as const)),
    ...others
  ]
  return (
    <dialog ref={dialog} aria-labelledby="key-help" onCancel={close} onClose={close}>
      <h2 id="key-help">Keys</h2>
      <dl className="keys">
        {rows.map(([key, words]) => (
          <div key={key}>
            <dt>{key.split(/\s+/).map((one) => <kbd key={one}>{one}</kbd>)}</dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
      <div className="dialog-actions">
        <button type="button" onClick={close} autoFocus>Close</button>
      </div>
    </dialog>
  )
}
