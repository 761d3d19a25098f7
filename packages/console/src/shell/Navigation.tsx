/** The way to every page, with the numbers that call for somebody beside their page. */
import { Link } from "../components/Link.tsx"
import { atLeast } from "../format/numbers.ts"
import { usePolled } from "../live/usePolled.ts"
import { places } from "./pages.tsx"

interface Badge {
  readonly text: string
  readonly tone: "dead" | "pending"
  readonly words: string
}

const useBadges = (): Readonly<Record<string, Badge | undefined>> => {
  const { data: overview } = usePolled("overview", (api) => api.overview.get(), 5000)
  const { data: examination } = usePolled("doctor", (api) => api.doctor.examine(), 15_000)
  const { data: pauses } = usePolled("flow", (api) => api.flow.list(), 10_000)
  const badge = (value: number, capped: boolean, tone: Badge["tone"], words: string): Badge | undefined =>
    value === 0 ? undefined : { text: atLeast(value, capped), tone, words }
  const serious = examination?.findings.filter(({ severity }) => severity === "serious").length ?? 0
  const warnings = examination?.findings.filter(({ severity }) => severity === "warning").length ?? 0
  return {
    dead: overview && badge(overview.counts.dead.value, overview.counts.dead.kind !== "exact", "dead", "dead letters"),
    keys: overview && badge(overview.blockedKeys.value, overview.blockedKeys.kind !== "exact", "dead", "blocked"),
    flow: pauses && badge(pauses.length, false, "pending", "paused"),
    doctor: serious > 0
      ? badge(serious, false, "dead", "serious findings")
      : badge(warnings, false, "pending", "warnings")
  }
}

export const Navigation = ({ current }: { readonly current: string | undefined }) => {
  const badges = useBadges()
  return (
    <nav aria-label="Pages">
      {places.map((group) => (
        <div key={group.title} className="nav-group">
          <h2>{group.title}</h2>
          <ul>
            {group.places.map(({ key, path, title }) => {
              const badge = badges[path[0] ?? ""]
              return (
                <li key={title}>
                  <Link path={path} current={path[0] === current} title={`g ${key}`}>
                    <span>{title}</span>
                    {badge !== undefined && (
                      <span className={`badge ${badge.tone}`}>
                        {badge.text} <span className="unseen">{badge.words}</span>
                      </span>
                    )}
                  </Link>
                </li>
              )
            })}
          </ul>
        </div>
      ))}
    </nav>
  )
}
