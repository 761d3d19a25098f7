/**
 * Guarantees of the product that a self-test takes out, one at a time, as changes of its source text. The product has no switch for it: a
 * hook of the module loader changes the text as it is read (see mutate.ts).
 */
import { checkNames } from "./checkNames.ts"

export interface Change {
  /** The end of the module's path. */
  readonly module: string
  /** Must occur as often as `times` says, once unless given: a mutation that no longer fits must not pass for a good test. */
  readonly text: string
  readonly replacement: string
  readonly times?: number
}

export interface Mutation {
  /** The check that has to notice. */
  readonly noticedBy: string
  readonly changes: ReadonlyArray<Change>
}

export const mutations: Readonly<Record<string, Mutation>> = {
  /** Whoever was thought dead and comes back settles what somebody else holds by now. */
  fence: {
    noticedBy: checkNames.steps,
    changes: [{
      module: "packages/outbox/src/delivering/settleEntries.ts",
      text: "WHERE o.id = held.id AND o.claim_id = held.claim_id AND o.status = 'processing'",
      replacement: "WHERE o.id = held.id",
      times: 2
    }]
  },
  /** The inbox never remembers: every delivery is the first. */
  inbox: {
    noticedBy: checkNames.effects,
    changes: [{
      module: "packages/inbox/src/InboxGuard.ts",
      text: "::uuid[]) AS delivery (id, event_id)",
      replacement: "::uuid[]) AS delivery (id, event_id) WHERE false"
    }, {
      module: "packages/inbox/src/InboxGuard.ts",
      text: "return rows.map((row) => row.event_id)",
      replacement: "return rows.length > 0 ? [] : sorted"
    }]
  },
  /** Readers of the log go past transactions that still run. */
  snapshot: {
    noticedBy: checkNames.fold,
    changes: [{
      module: "packages/event-store/src/readLog.ts",
      text: " AND log.xid < pg_snapshot_xmin(pg_current_snapshot())",
      replacement: ""
    }]
  },
  /** Whoever looks takes what others hold. */
  lease: {
    noticedBy: checkNames.steps,
    changes: [{
      module: "packages/outbox/src/claiming/Selection.ts",
      text: "(status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < ${time})",
      replacement: "true"
    }]
  }
}

/** Throws where the text has changed so that the mutation does not fit any more. */
export const mutate = (changes: ReadonlyArray<Change>, path: string, source: string): string => {
  let mutated = source
  for (const { module, replacement, text, times = 1 } of changes) {
    if (!path.endsWith(module)) continue
    const found = mutated.split(text).length - 1
    if (found !== times) {
      throw new Error(`the mutation of ${module} expects its text ${times} times, and finds it ${found} times`)
    }
    mutated = mutated.replaceAll(text, () => replacement)
  }
  return mutated
}
