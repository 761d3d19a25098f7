/** What is checked, as it is printed. */
export const checkNames = {
  finished: "nothing is pending or processing in the end",
  committed: "each committed transaction is there with its events, and no other",
  log: "each committed event is once in the log",
  ledger: "each committed event is at least once in the ledger, what was rolled back is nowhere",
  order: "first deliveries are in order, and none began before the one in front of it was settled",
  effects: "each guarded effect happened once",
  fold: "the projection is a fold of the log",
  steps: "every step of an entry was allowed: none early, none beyond the maximum",
  attempts: "attempts are contiguous",
  duplicates: "duplicates are no more than the faults explain",
  alive: "no worker and no reader has given up",
  faults: "every fault has happened",
  measured: "a stop charges nothing, and every measurement was taken",
  clock: "one worker's clock is 90 s off"
} as const
