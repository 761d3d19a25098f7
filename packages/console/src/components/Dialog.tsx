/**
 * Asks before something is done. The browser's own modal dialog: it keeps the keyboard inside, and Escape closes it.
 *
 * What cannot be undone, or meets many, has to be typed: the button stays off until the word stands there. Enter in the field does it.
 */
import type { FormEvent, ReactNode } from "react"
import { useEffect, useId, useRef, useState } from "react"

interface Props {
  readonly title: string
  readonly children?: ReactNode
  /** What the button says. */
  readonly action: string
  readonly danger?: boolean
  /** What has to be typed first. */
  readonly phrase?: string | undefined
  /** Off for another reason: something is still being counted, say. */
  readonly blocked?: boolean
  readonly act: () => Promise<void>
  readonly close: () => void
}

export function Dialog({ act, action, blocked = false, children, close, danger = false, phrase, title }: Props) {
  const dialog = useRef<HTMLDialogElement>(null)
  const name = useId()
  const field = useId()
  const [typed, setTyped] = useState("")
  const [busy, setBusy] = useState(false)
  const ready = !blocked && !busy && (phrase === undefined || typed.trim() === phrase)

  useEffect(() => {
    const home = dialog.current
    const before = document.activeElement
    if (home?.open === false) home.showModal()
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (!ready) return
    setBusy(true)
    try {
      await act()
    } finally {
      setBusy(false)
    }
  }

  return (
    <dialog ref={dialog} aria-labelledby={name} onCancel={close} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id={name}>{title}</h2>
        <div className="dialog-body">{children}</div>
        {phrase !== undefined && (
          <div className="field">
            <label htmlFor={field}>
              Type <code>{phrase}</code> to confirm
            </label>
            <input
              id={field}
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              autoFocus
            />
          </div>
        )}
        <div className="dialog-actions">
          <button type="button" onClick={close} autoFocus={phrase === undefined && danger}>Cancel</button>
          <button type="submit" className={danger ? "danger" : "primary"} disabled={!ready}>
            {busy ? "Working…" : action}
          </button>
        </div>
      </form>
    </dialog>
  )
}
