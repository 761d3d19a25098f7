/** Who reads the log: how far behind each is, what it has put aside, and the projections that are built from it. */
import { Page } from "../components/Page.tsx"
import { Panel } from "../components/Panel.tsx"
import { Parked } from "./consumers/Parked.tsx"
import { Projections } from "./consumers/Projections.tsx"
import { Subscriptions } from "./consumers/Subscriptions.tsx"

export const ConsumersPage = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const parkedOf = query["parked"]
  return (
    <Page title="Consumers and projections">
      <Panel title="Subscriptions">
        <Subscriptions shown={parkedOf} />
      </Panel>
      {parkedOf !== undefined && parkedOf !== "" && (
        <Parked key={parkedOf} subscription={parkedOf} after={query["after"]} />
      )}
      <Panel title="Projections">
        <Projections />
      </Panel>
    </Page>
  )
}
