/** What can be done with an entry, which is something only when it is dead. */
import type { EntrySummary } from "@zakops/admin/api/entries"
import { useState } from "react"
import { useMayChange } from "../../shell/session.tsx"
import { ChangeDead } from "../dead/ChangeDead.tsx"

export const EntryActions = ({ entry }: { readonly entry: EntrySummary }) => {
  const [asking, setAsking] = useState<"redrive" | "discard" | undefined>()
  const mayChange = useMayChange()
  if (!mayChange || entry.state !== "dead") return null
  return (
    <>
      <button type="button" onClick={() => setAsking("discard")}>Discard…</button>
      <button type="button" className="primary" onClick={() => setAsking("redrive")}>Redrive…</button>
      {asking !== undefined && (
        <ChangeDead
          action={asking}
          selection={{ ids: [entry.id] }}
          which="this entry"
          close={() => setAsking(undefined)}
        />
      )}
    </>
  )
}
