/** A trace: a link to where traces are looked at, if the server was told where that is. */
import { useSession } from "../../shell/session.tsx"

export const TraceLink = ({ traceId }: { readonly traceId: string }) => {
  const url = useSession()?.traceUrl
  // As the W3C writes it, without the hyphens of the column's UUID.
  const plain = traceId.replaceAll("-", "")
  if (url == null || !/^https?:\/\//.test(url)) return <span className="mono" title="trace">{plain}</span>
  return (
    <a href={url.replaceAll("{traceId}", encodeURIComponent(plain))} rel="noreferrer" target="_blank">
      trace {plain.slice(0, 8)}
    </a>
  )
}
