/** The checks of the books, without tolerance. Each gives what is wrong, in words; nothing when all is well. */
import { checkAttempts, checkExplained, checkSteps } from "./checkAttempts.ts"
import { checkOrder } from "./checkOrder.ts"
import { checkEffects, checkFold } from "./checkReaders.ts"
import type { Books } from "./Books.ts"
import { checkNames } from "./checkNames.ts"
import type { World } from "./World.ts"

export type Problems = ReadonlyArray<string>

export interface Check {
  readonly name: string
  readonly problems: Problems
}

/** Of the first five, with how many there are. */
export const tell = (problems: Problems): string =>
  problems.slice(0, 5).map((problem) => `\n    ${problem}`).join("") +
  (problems.length > 5 ? `\n    and ${problems.length - 5} more` : "")

/**
 * The ids of the events that were committed. Those of transactions whose outcome is unknown were, if their business change is there.
 */
const committedIds = ({ accounts, business }: Books): ReadonlySet<string> => {
  const found = new Set(business.map(({ ref }) => ref))
  return new Set(
    [...accounts].flatMap(([ref, { ids, outcome }]) =>
      outcome === "committed" || (outcome !== "rolled back" && found.has(ref)) ? ids : []
    )
  )
}

/** Each id of `wanted` once in `found`, and no other. */
const exactly = (where: string, wanted: ReadonlySet<string>, found: ReadonlyArray<string>): Problems => {
  const counts = new Map<string, number>()
  for (const id of found) counts.set(id, (counts.get(id) ?? 0) + 1)
  return [
    ...[...wanted].filter((id) => !counts.has(id)).map((id) => `${id} is not in ${where}`),
    ...[...counts].flatMap(([id, count]) => {
      if (!wanted.has(id)) return [`${id} was not committed, and is in ${where}`]
      return count === 1 ? [] : [`${id} is ${count} times in ${where}`]
    })
  ]
}

const checkLedger = (committed: ReadonlySet<string>, { business, ledger, outside }: Books): Problems => {
  const accepted = new Set(ledger.filter(({ what }) => what === "accepted").map(({ id }) => id))
  const refused = new Set(business.filter(({ fate }) => fate !== "taken").map(({ id }) => id))
  return [
    ...[...committed].filter((id) => accepted.has(id) === refused.has(id)).map((id) =>
      accepted.has(id) ? `${id} was to be refused, and was accepted` : `${id} was never accepted`
    ),
    ...ledger.filter(({ id }) => !committed.has(id)).map(({ id, what }) => `${id} was not committed, and was ${what}`),
    // What is refused for ever is dead, and nothing else is.
    ...outside.filter(({ id, status }) => (status === "dead") !== refused.has(id)).map(({ id, status }) =>
      `${id} is ${status}`
    )
  ]
}

const checkFaults = ({ faults }: World, names: ReadonlyArray<string>): Problems =>
  names.filter((name) => (faults.counts.get(name as never) ?? 0) === 0).map((name) => `none: ${name}`)

const checkWorkers = ({ faults, workers }: World): Problems => [
  ...workers.stoppedReaders.map((reason) => `a reader has stopped: ${reason}`),
  // Starting needs the database, and ends with a word where it is away.
  ...workers.lives.filter(({ ready, to, wanted }) => ready && to !== undefined && !wanted).map(({ code, worker }) =>
    `worker ${worker} has ended by itself, with code ${code}`
  ),
  ...faults.windows.length === 0 ? ["nothing has happened"] : []
]

/** @param left what was still to be done when its time was over */
export const check = (
  world: World,
  books: Books,
  faultNames: ReadonlyArray<string>,
  left: Problems
): ReadonlyArray<Check> => {
  const committed = committedIds(books)
  return [
    { name: checkNames.finished, problems: left },
    {
      name: checkNames.committed,
      problems: [
        ...exactly("the business table", committed, books.business.map(({ id }) => id)),
        ...exactly("the outbox", committed, books.outside.map(({ id }) => id)),
        ...exactly("the log's outbox", committed, books.inLogOutbox.map(({ id }) => id))
      ]
    },
    {
      name: checkNames.log,
      problems: exactly("the log", committed, books.log.map(({ id }) => id))
    },
    {
      name: checkNames.ledger,
      problems: checkLedger(committed, books)
    },
    {
      name: checkNames.order,
      problems: checkOrder(books)
    },
    { name: checkNames.effects, problems: checkEffects(books) },
    { name: checkNames.fold, problems: checkFold(books) },
    { name: checkNames.steps, problems: checkSteps(books) },
    { name: checkNames.attempts, problems: checkAttempts(books) },
    { name: checkNames.duplicates, problems: checkExplained(world, books) },
    { name: checkNames.alive, problems: checkWorkers(world) },
    { name: checkNames.faults, problems: checkFaults(world, faultNames) }
  ]
}
