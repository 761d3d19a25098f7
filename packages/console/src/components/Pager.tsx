/** To the page behind, and back to the first. Both are links: Back and Forward of the browser walk through the pages. */
import { useRoute } from "../routing/useRoute.ts"
import { Link } from "./Link.tsx"

export const Pager = ({ next }: { readonly next: string | null | undefined }) => {
  const { path, query } = useRoute()
  const beyond = query["after"] !== undefined
  if (!beyond && (next === null || next === undefined)) return null
  return (
    <nav className="pager" aria-label="Pages of the list">
      {beyond && <Link path={path} query={{ ...query, after: undefined }}>First page</Link>}
      {next !== null && next !== undefined && <Link path={path} query={{ ...query, after: next }}>Next page</Link>}
    </nav>
  )
}
