/** Why entries are dead: the largest groups of errors, each leads to its letters. */
import type { Overview } from "@zakops/admin/api/overview"
import { Link } from "../../components/Link.tsx"
import { Time } from "../../components/Time.tsx"
import { commonText } from "../../format/errors.ts"
import { count } from "../../format/numbers.ts"

export const DeadByError = ({ overview }: { readonly overview: Overview | undefined }) => {
  if (overview === undefined) return <p className="empty">…</p>
  const { deadByError, deadSampled } = overview
  if (deadByError.length === 0) return <p className="empty">No dead letters.</p>
  const most = Math.max(...deadByError.map((group) => group.count))
  return (
    <>
      <ol className="bars">
        {deadByError.map((group) => (
          <li key={group.error}>
            <Link path={["dead"]} query={{ error: commonText(group.error) }}>
              <span className="bar-name" title={group.error}>{group.error === "" ? "(no error)" : group.error}</span>
              <span className="bar-count">{count(group.count)}</span>
              <span className="bar-time">
                <Time at={group.newest} />
              </span>
              <meter className="bar" min={0} max={most} value={group.count} aria-hidden="true" />
            </Link>
          </li>
        ))}
      </ol>
      {deadSampled && <p className="faint footnote">Of the latest dead letters; there are more.</p>}
    </>
  )
}
