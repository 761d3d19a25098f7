/** An address that leads nowhere. */
import { Link } from "../components/Link.tsx"
import { Page } from "../components/Page.tsx"

export const NotFoundPage = () => (
  <Page title="No such page">
    <p className="empty">
      The address leads nowhere. <Link path={[]}>To the overview</Link>
    </p>
  </Page>
)
