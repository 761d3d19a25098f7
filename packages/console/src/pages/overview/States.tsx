/** How many entries there are in each state; each leads to them. */
import type { EntryState } from "@zakops/admin/api/entries"
import type { Overview } from "@zakops/admin/api/overview"
import { Link } from "../../components/Link.tsx"
import { countOf } from "../../format/counts.ts"

const states: ReadonlyArray<readonly [state: EntryState, title: string, words: string]> = [
  ["pending", "Pending", "wait for nothing but their time"],
  ["behind", "Behind", "wait for another entry of their key"],
  ["held", "Held", "their type is paused, or has a limit"],
  ["processing", "Processing", "a worker has them"],
  ["delivered", "Delivered", "and not deleted yet"],
  ["dead", "Dead", "to be looked at"],
  ["discarded", "Discarded", "given up by somebody"]
]

export const States = ({ overview }: { readonly overview: Overview | undefined }) => (
  <section className="panel states" aria-label="Entries by state">
    <ul>
      {states.map(([state, title, words]) => {
        const count = overview?.counts[state]
        return (
          <li key={state} className={count?.value === 0 ? "none" : undefined}>
            <Link
              path={state === "dead" ? ["dead"] : ["entries"]}
              query={state === "dead" ? {} : { state }}
              title={words}
            >
              <span className={`state-name ${state}`}>{title}</span>
              <b>{count === undefined ? "…" : countOf(count)}</b>
            </Link>
          </li>
        )
      })}
    </ul>
  </section>
)
