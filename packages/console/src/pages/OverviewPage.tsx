/** How the outbox is, at three in the morning: how long the oldest waits, what comes in and goes out, what is dead and why, who works on it. */
import { Page } from "../components/Page.tsx"
import { Panel } from "../components/Panel.tsx"
import { Problem } from "../components/Problem.tsx"
import { usePolled } from "../live/usePolled.ts"
import { DeadByError } from "./overview/DeadByError.tsx"
import { Destinations } from "./overview/Destinations.tsx"
import { Findings } from "./overview/Findings.tsx"
import { Oldest } from "./overview/Oldest.tsx"
import { Rates } from "./overview/Rates.tsx"
import { States } from "./overview/States.tsx"
import { Workers } from "./overview/Workers.tsx"

export const OverviewPage = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const { data, error } = usePolled("overview", (api) => api.overview.get())
  return (
    <Page title="Overview">
      <Problem error={data === undefined ? error : undefined} />
      <div className="overview">
        <Oldest overview={data} />
        <States overview={data} />
        <Rates query={query} />
        <Panel title="Dead by error">
          <DeadByError overview={data} />
        </Panel>
        <Panel title="Problems">
          <Findings />
        </Panel>
        <Destinations />
        <Workers />
      </div>
    </Page>
  )
}
