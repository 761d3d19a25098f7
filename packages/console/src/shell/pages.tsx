/** The pages of the console: their names, their places in the navigation, and which one a route shows. */
import type { ReactNode } from "react"
import { AuditPage } from "../pages/AuditPage.tsx"
import { ConsumersPage } from "../pages/ConsumersPage.tsx"
import { DeadLettersPage } from "../pages/DeadLettersPage.tsx"
import { DoctorPage } from "../pages/DoctorPage.tsx"
import { EntriesPage } from "../pages/EntriesPage.tsx"
import { EntryPage } from "../pages/EntryPage.tsx"
import { FlowPage } from "../pages/FlowPage.tsx"
import { KeysPage } from "../pages/KeysPage.tsx"
import { NotFoundPage } from "../pages/NotFoundPage.tsx"
import { OverviewPage } from "../pages/OverviewPage.tsx"
import { StreamPage } from "../pages/StreamPage.tsx"
import { StreamsPage } from "../pages/StreamsPage.tsx"
import { TailPage } from "../pages/TailPage.tsx"
import type { Route } from "../routing/route.ts"

export interface Place {
  readonly title: string
  readonly path: ReadonlyArray<string>
  /** Behind `g`. */
  readonly key: string
}

/** In groups, as the navigation shows them. */
export const places: ReadonlyArray<{ readonly title: string; readonly places: ReadonlyArray<Place> }> = [
  {
    title: "Outbox",
    places: [
      { title: "Overview", path: [], key: "o" },
      { title: "Entries", path: ["entries"], key: "e" },
      { title: "Dead letters", path: ["dead"], key: "d" },
      { title: "Blocked keys", path: ["keys"], key: "k" },
      { title: "Pauses", path: ["flow"], key: "f" }
    ]
  },
  {
    title: "Event log",
    places: [
      { title: "Consumers", path: ["consumers"], key: "c" },
      { title: "Streams", path: ["streams"], key: "s" },
      { title: "Tail", path: ["tail"], key: "t" }
    ]
  },
  {
    title: "Upkeep",
    places: [
      { title: "Doctor", path: ["doctor"], key: "h" },
      { title: "Audit", path: ["audit"], key: "a" }
    ]
  }
]

export const pageOf = ({ path, query }: Route): ReactNode => {
  const [first, second, third, fourth] = path
  if (first === undefined) return <OverviewPage query={query} />
  if (first === "entries" && second !== undefined && third === undefined) return <EntryPage key={second} id={second} />
  if (first === "streams" && second !== undefined && third !== undefined && fourth === undefined) {
    return <StreamPage key={`${second}/${third}`} aggregateType={second} aggregateId={third} query={query} />
  }
  if (second !== undefined) return <NotFoundPage />
  if (first === "entries") return <EntriesPage query={query} />
  if (first === "dead") return <DeadLettersPage query={query} />
  if (first === "keys") return <KeysPage query={query} />
  if (first === "flow") return <FlowPage />
  if (first === "consumers") return <ConsumersPage query={query} />
  if (first === "streams") return <StreamsPage query={query} />
  if (first === "tail") return <TailPage query={query} />
  if (first === "doctor") return <DoctorPage />
  if (first === "audit") return <AuditPage query={query} />
  return <NotFoundPage />
}
