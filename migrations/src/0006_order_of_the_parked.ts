/** The sixth version: parked events are listed in the order of the log. */
import type { Tables } from "./SchemaName.ts"

export const statements = (t: Tables): ReadonlyArray<string> => [
  // A page of what a subscription has parked costs the same however much that is.
  `CREATE INDEX IF NOT EXISTS parked_events_order ON ${t.parkedEvents} (subscription, xid, position)`
]
