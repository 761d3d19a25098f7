/** One destination, as a processor of this process delivers to it. */
import type { Routing } from "../routing/Routing.ts"
import type { Tally } from "../workers/Tally.ts"

export interface Lane {
  /** The route whose entries are delivered; null for the main destination. */
  readonly route: string | null
  readonly tally: Tally
  /** What is handed on to routes; undefined where there are none, and for a route itself. */
  readonly routing: Routing | undefined
}
