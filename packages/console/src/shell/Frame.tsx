/** What stands around every page: navigation, the state of the updates, who one is, and what cannot be done. */
import { useEffect, useMemo, useRef, useState } from "react"
import { signOut, useSignedIn } from "../api/session.ts"
import { Link } from "../components/Link.tsx"
import { toggleUpdates, useStopped } from "../live/attention.ts"
import { refreshAll } from "../live/refresh.ts"
import { forgetAnswers, usePolled } from "../live/usePolled.ts"
import { go, useRoute } from "../routing/useRoute.ts"
import { KeyHelp } from "./KeyHelp.tsx"
import { useKeys } from "./keys.ts"
import { Navigation } from "./Navigation.tsx"
import { Notices } from "./Notices.tsx"
import { pageOf } from "./pages.tsx"
import { SessionContext } from "./session.tsx"
import { toggleTheme, useDark } from "./theme.ts"

export const Frame = () => {
  const route = useRoute()
  const main = useRef<HTMLElement>(null)
  const stopped = useStopped()
  const dark = useDark()
  const signedIn = useSignedIn()
  const [helping, setHelping] = useState(false)
  const { data: session, error } = usePolled("session", (api) => api.session.get(), 30_000)
  const place = route.path.join("/")

  // Another page begins at its top, and its heading is what a screen reader reads next.
  const before = useRef(place)
  useEffect(() => {
    if (before.current === place) return
    before.current = place
    scrollTo(0, 0)
    main.current?.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true })
  }, [place])

  const commands = useMemo(() => ({
    goTo: (path: ReadonlyArray<string>) => go(path),
    help: () => setHelping(true),
    refresh: refreshAll,
    toggleTheme,
    toggleUpdates
  }), [])
  useKeys(commands)

  return (
    <SessionContext value={session}>
      <div className="frame">
        <a
          className="skip"
          href="#main"
          onClick={(event) => {
            event.preventDefault()
            main.current?.querySelector<HTMLElement>("h1")?.focus()
          }}
        >
          To the page
        </a>
        <aside className="side">
          <Link path={[]} className="brand">
            <span className="brand-mark" aria-hidden="true" />ZakOps Outbox
          </Link>
          <Navigation current={route.path[0]} />
          <div className="side-foot">
            {session !== undefined && (
              <p className="who">
                <b>{session.name}</b> · {session.mayChange ? "may change" : "read only"}
                <br />
                schema {session.schema} · {session.version}
              </p>
            )}
            <div className="side-buttons">
              <button type="button" className="quiet" onClick={toggleUpdates} aria-pressed={stopped} title="p">
                <span
                  className={stopped ? "pulse stopped" : error === undefined ? "pulse" : "pulse failed"}
                  aria-hidden="true"
                />
                {stopped ? "Updates stopped" : "Live"}
              </button>
              <button type="button" className="quiet" onClick={toggleTheme} title="T">{dark ? "Light" : "Dark"}</button>
              <button type="button" className="quiet" onClick={() => setHelping(true)} title="?">Keys</button>
              {signedIn && (
                <button
                  type="button"
                  className="quiet"
                  onClick={() => {
                    forgetAnswers()
                    signOut()
                    refreshAll()
                  }}
                >
                  Sign out
                </button>
              )}
            </div>
          </div>
        </aside>
        <main ref={main} id="main">
          {error !== undefined && <p className="offline" role="alert">{error}</p>}
          {pageOf(route)}
        </main>
        <Notices />
        {helping && <KeyHelp close={() => setHelping(false)} />}
      </div>
    </SessionContext>
  )
}
