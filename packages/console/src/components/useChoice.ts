/** Which rows of a page are chosen. Rows that are gone are chosen no more. */
import { useMemo, useState } from "react"
import type { Choice } from "./Table.tsx"

export const useChoice = (ids: ReadonlyArray<string>): Choice & { readonly clear: () => void } => {
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set())
  const chosen = useMemo(() => new Set(ids.filter((id) => picked.has(id))), [ids, picked])
  return {
    chosen,
    toggle: (id) =>
      setPicked(() => {
        const next = new Set(chosen)
        if (!next.delete(id)) next.add(id)
        return next
      }),
    toggleAll: () => setPicked(chosen.size === ids.length ? new Set() : new Set(ids)),
    clear: () => setPicked(new Set())
  }
}
