/** A time as a distance from now, that keeps up with it; the exact time when one points at it. */
import { exact, relative } from "../format/times.ts"
import { useNow } from "../live/useNow.ts"

export const Time = ({ at, none = "–" }: { readonly at: Date | null | undefined; readonly none?: string }) => {
  const now = useNow()
  if (at == null) return <span className="faint">{none}</span>
  return <time dateTime={at.toISOString()} title={exact(at, true)}>{relative(at, now)}</time>
}
