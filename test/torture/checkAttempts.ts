/** Checks of what each entry went through: by the journal of its row, by the history of its attempts, and by the ledger. */
import { goneBehind } from "@zakops/outbox/claiming/dueRuns"
import * as Duration from "effect/Duration"
import type { AttemptRow, Books, Step } from "./Books.ts"
import { connectionLost } from "./Destination.ts"
import type { Line } from "./ledger.ts"
import { lease } from "./settings.ts"
import type { World } from "./World.ts"

/** What is wrong with a step of an entry whose destination is outside. */
const problemOf = (
  { at, attempts, attemptsWere, became, due, leaseWas, maxAttempts, was }: Step
): string | undefined => {
  switch (`${was} to ${became}`) {
    case "pending to processing":
      if (attempts !== attemptsWere + 1) return `was claimed with ${attemptsWere} attempts, and had ${attempts} then`
      if (attempts > maxAttempts) return `was claimed for attempt ${attempts} of ${maxAttempts}`
      return due !== null && at < due ? `was claimed ${(due - at) / 1000} ms early` : undefined
    case "processing to processing":
      if (leaseWas !== null && leaseWas >= at) {
        return `was taken over ${(leaseWas - at) / 1000} ms before its lease ran out`
      }
      return attempts === attemptsWere ? undefined : "was charged for being taken over"
    case "processing to pending":
      if (attempts === attemptsWere - 1) return undefined
      if (attempts !== attemptsWere) return `went from ${attemptsWere} to ${attempts} attempts`
      return attempts < maxAttempts ? undefined : `waits for another attempt after ${attempts} of ${maxAttempts}`
    case "processing to delivered":
    case "processing to dead":
      return attempts === attemptsWere ? undefined : `went from ${attemptsWere} to ${attempts} attempts`
    default:
      return `went from ${was} to ${became}`
  }
}

/** To the log nothing is ever claimed, and nothing here is refused by it. */
const problemInLog = ({ became, was }: Step): string | undefined =>
  was === "pending" && became === "delivered" ? undefined : `went from ${was} to ${became} in the log's outbox`

export const checkSteps = ({ journal }: Books): ReadonlyArray<string> =>
  journal.flatMap((step) => {
    const problem = step.outside ? problemOf(step) : problemInLog(step)
    return problem === undefined ? [] : [`${step.id} ${problem}`]
  })

const charged = new Set(["failed", "timed_out", "lease_expired"])

/** Charged attempts are 1, 2, 3 and so on, and with the one that delivered they are all that the entry counts. */
export const checkAttempts = ({ history, journal, outside }: Books): ReadonlyArray<string> => {
  const told = (id: string) => {
    const attempts = history.filter((row) => row.id === id).map(({ attempt, outcome }) => `${attempt} ${outcome}`)
    const steps = journal.filter((step) => step.outside && step.id === id).map(({ attempts, became }) =>
      `${became} ${attempts}`
    )
    return `the history has ${attempts.join(", ")}; the journal ${steps.join(", ")}`
  }
  const rows = Map.groupBy(history.filter(({ outcome }) => charged.has(outcome)), ({ id }) => id)
  return outside.flatMap(({ attempts, id, maxAttempts, status }) => {
    const numbers = (rows.get(id) ?? []).map(({ attempt }) => attempt)
    const all = status === "delivered" ? [...numbers, attempts] : numbers
    return [
      ...all.every((number, index) => number === index + 1) && all.length === attempts
        ? []
        : [`${id} is ${status} after ${attempts} attempts: ${told(id)}`],
      ...attempts > maxAttempts ? [`${id} had ${attempts} attempts of ${maxAttempts}`] : []
    ]
  })
}

/** An attempt that did not deliver, and whose event the destination may have all the same. */
const explains = ({ error, outcome }: AttemptRow): boolean =>
  outcome === "timed_out" || outcome === "lease_expired" ||
  (outcome === "handed_back" && (error === null || error === goneBehind)) ||
  (outcome === "failed" && (error ?? "").startsWith(connectionLost))

/** How often the destination has accepted events again. */
export const duplicates = ({ ledger }: Books): number => {
  const accepted = ledger.filter(({ what }) => what === "accepted")
  return accepted.length - new Set(accepted.map(({ id }) => id)).size
}

/** A claim of what has no key is on disk within three rounds of the WAL writer, of 200 ms each. */
const forgetful = 600

/**
 * Calls that no claim stands behind, of each event: the server that crashed had not written the claim down. That may be so of what has no
 * key, and of calls of that time.
 */
const checkUnclaimed = ({ faults }: World, { business, journal, ledger }: Books) => {
  const claims = Map.groupBy(
    journal.filter(({ became, was }) => was === "pending" && became === "processing"),
    ({ id }) => id
  )
  const calls = Map.groupBy(ledger.filter(({ what }) => what === "begun"), ({ id }) => id)
  const keys = new Map(business.map(({ id, key }) => [id, key]))
  const restarts = faults.windows.filter(({ fault }) => fault.includes("restarts of Postgres"))
  const mayBeForgotten = ({ at }: Line) =>
    restarts.some(({ from, to }) => from - forgetful <= at && at <= to + Duration.toMillis(lease))
  // How many calls of each event may have been without one. Not only those that are more than its claims: some claims came to no call.
  const unclaimed = new Map<string, number>()
  const problems: Array<string> = []
  for (const [id, begun] of calls) {
    const near = keys.get(id) === null ? begun.filter(mayBeForgotten).length : 0
    unclaimed.set(id, near)
    const more = begun.length - (claims.get(id)?.length ?? 0)
    if (more > near) {
      problems.push(`${id} was called ${more} times without a claim, and crashes explain ${near} of them`)
    }
  }
  return { unclaimed, problems }
}

/**
 * Of each event, acceptances beyond the one that delivered it are no more than its attempts that may have left one. And a lease runs out
 * only where its worker, or the database, was troubled meanwhile.
 */
export const checkExplained = (world: World, books: Books): ReadonlyArray<string> => {
  const { faults } = world
  const { history, ledger, outside } = books
  const explained = Map.groupBy(history.filter(explains), ({ id }) => id)
  const accepted = Map.groupBy(ledger.filter(({ what }) => what === "accepted"), ({ id }) => id)
  const { problems, unclaimed } = checkUnclaimed(world, books)
  return [
    ...problems,
    ...outside.flatMap(({ id, status }) => {
      const more = (accepted.get(id)?.length ?? 0) - (status === "delivered" ? 1 : 0)
      const most = (explained.get(id)?.length ?? 0) + (unclaimed.get(id) ?? 0)
      return more > most ? [`${id} was accepted ${more} times too often, and ${most} attempts explain it`] : []
    }),
    ...history.filter(({ outcome }) => outcome === "lease_expired").flatMap((
      { attempt, endedAt, id, pid, startedAt }
    ) =>
      faults.windows.some((window) =>
          (window.pid === undefined || window.pid === pid) && window.from <= endedAt && window.to >= (startedAt ?? 0)
        )
        ? []
        : [`attempt ${attempt} of ${id} lost its lease, and nothing had happened to process ${pid}`]
    )
  ]
}
