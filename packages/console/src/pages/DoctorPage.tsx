/** What the doctor has looked at, what it has found, and how to put it right; and the work that one process does for all. */
import type { Finding } from "@zakops/admin/api/doctor"
import { Page } from "../components/Page.tsx"
import { Panel } from "../components/Panel.tsx"
import { Problem } from "../components/Problem.tsx"
import { Status } from "../components/Status.tsx"
import { Time } from "../components/Time.tsx"
import { usePolled } from "../live/usePolled.ts"
import { Purge } from "./doctor/Purge.tsx"
import { Tasks } from "./doctor/Tasks.tsx"

const order = ["serious", "warning", "notice", "ok"]
const byWeight = (a: Finding, b: Finding) => order.indexOf(a.severity) - order.indexOf(b.severity)

export const DoctorPage = () => {
  const { data, error, refresh } = usePolled("doctor", (api) => api.doctor.examine(), 15_000)
  return (
    <Page
      title="Doctor"
      detail={data !== undefined && (
        <span className="faint">
          examined <Time at={data.at} />
        </span>
      )}
      actions={<button type="button" onClick={refresh}>Examine</button>}
    >
      <Problem error={error} again={refresh} />
      {data === undefined ? error === undefined && <p className="empty">Examining…</p> : (
        <ul className="checks panel">
          {data.findings.toSorted(byWeight).map(({ check, detail, fix, severity, title }) => (
            <li key={check + title} className={severity === "ok" ? "ok" : undefined}>
              <Status state={severity} />
              <div>
                <h2>{title}</h2>
                {detail !== "" && <p>{detail}</p>}
                {fix !== null && <pre className="fix" tabIndex={0}>{fix}</pre>}
              </div>
              <code className="faint">{check}</code>
            </li>
          ))}
        </ul>
      )}
      <Panel title="Upkeep">
        <Tasks />
      </Panel>
      <Purge />
    </Page>
  )
}
