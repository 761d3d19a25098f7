/** What a producer writes down beside the database: what it is about to do, and what came of it. */

/** unknown: the answer to COMMIT was lost, or may have been. */
export type Outcome = "committed" | "rolled back" | "unknown"

export type ProducerLine =
  /** Written before the commit; again with other ids where the transaction had to begin anew. */
  | { readonly what: "intent"; readonly ref: string; readonly ids: ReadonlyArray<string> }
  | {
    readonly what: "outcome"
    readonly ref: string
    readonly ids: ReadonlyArray<string>
    readonly outcome: Outcome
    readonly why?: "wanted" | "disk full" | undefined
  }
