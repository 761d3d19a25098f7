/** What became of the same event at each destination. */
import type { EntryDetail } from "@zakops/admin/api/entries"
import { Link } from "../../components/Link.tsx"
import { Status } from "../../components/Status.tsx"
import { plural } from "../../format/numbers.ts"
import { Time } from "../../components/Time.tsx"

export const AtDestinations = ({ detail }: { readonly detail: EntryDetail }) => (
  <ul className="short-list">
    {detail.destinations.map(({ attempts, deliveredAt, destination, entryId, nextAttemptAt, state }) => (
      <li key={entryId} className={entryId === detail.entry.id ? "here" : undefined}>
        <Link path={["entries", entryId]}>{destination ?? "main"}</Link>
        <Status state={state} />
        <span className="faint">
          {plural(attempts, "attempt")}
          {(deliveredAt ?? nextAttemptAt) !== null && (
            <>
              {" · "}
              <Time at={deliveredAt ?? nextAttemptAt} />
            </>
          )}
        </span>
      </li>
    ))}
  </ul>
)
