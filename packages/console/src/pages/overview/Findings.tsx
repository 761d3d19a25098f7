/** What the doctor has found that calls for somebody. */
import { Link } from "../../components/Link.tsx"
import { Problem } from "../../components/Problem.tsx"
import { Status } from "../../components/Status.tsx"
import { usePolled } from "../../live/usePolled.ts"

export const Findings = () => {
  const { data, error } = usePolled("doctor", (api) => api.doctor.examine(), 15_000)
  if (data === undefined) return error === undefined ? <p className="empty">…</p> : <Problem error={error} />
  const found = data.findings.filter(({ severity }) => severity === "warning" || severity === "serious")
    .toSorted((a, b) => Number(b.severity === "serious") - Number(a.severity === "serious"))
  if (found.length === 0) {
    return (
      <p className="empty">
        The doctor has found none. <Link path={["doctor"]}>All checks</Link>
      </p>
    )
  }
  return (
    <ul className="findings">
      {found.slice(0, 6).map(({ check, detail, severity, title }) => (
        <li key={check + title}>
          <Link path={["doctor"]}>
            <Status state={severity} />
            <span>
              <b>{title}</b>
              <span className="faint">{detail}</span>
            </span>
          </Link>
        </li>
      ))}
    </ul>
  )
}
