/** What stands before and behind an entry in its key. */
import type { EntryDetail, EntrySummary } from "@zakops/admin/api/entries"
import { Link } from "../../components/Link.tsx"
import { Status } from "../../components/Status.tsx"
import { Time } from "../../components/Time.tsx"

export const Neighbours = ({ detail }: { readonly detail: EntryDetail }) => {
  const { entry, neighbours } = detail
  const row = (one: EntrySummary, here: boolean) => (
    <li key={one.id} className={here ? "here" : undefined}>
      {here ? <b>{one.eventType}</b> : <Link path={["entries", one.id]}>{one.eventType}</Link>}
      <Status state={one.state} />
      <span className="faint">{here ? "this entry" : <Time at={one.createdAt} />}</span>
    </li>
  )
  return (
    <>
      <p className="key-name">
        <code className="selectable">{entry.orderingKey}</code>
      </p>
      <ol className="short-list">
        {neighbours.before.map((one) => row(one, false))}
        {row(entry, true)}
        {neighbours.after.map((one) => row(one, false))}
      </ol>
    </>
  )
}
