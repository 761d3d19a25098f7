/** How long the oldest entry that is due has been waiting: the one number that says whether the outbox keeps up. */
import type { Overview } from "@zakops/admin/api/overview"
import { duration } from "../../format/times.ts"

/** Milliseconds. A worker that runs takes up what is due within a second or two; beyond a minute nobody does. */
const late = 10_000
const stuck = 60_000

export const Oldest = ({ overview }: { readonly overview: Overview | undefined }) => {
  const age = overview?.oldestPendingAge
  const tone = age == null || age < late ? "calm" : age < stuck ? "late" : "stuck"
  return (
    <section className={`panel oldest ${tone}`} aria-labelledby="oldest">
      <h2 id="oldest">Oldest pending</h2>
      <p className="oldest-age">{overview === undefined ? "…" : age == null ? "none" : duration(age)}</p>
      <p className="faint">
        {age == null ? "Nothing that is due is waiting." : "since the entry that has waited longest became due"}
      </p>
    </section>
  )
}
