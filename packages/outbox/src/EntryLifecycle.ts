/**
 * The life of an outbox entry as a pure state machine: pending, processing, delivered, dead, discarded.
 *
 * `decide` holds the rules (the dead-letter rule, the lease, the fence) and answers with a fact or a refusal; `evolve` applies a fact.
 * The SQL of the processor is tested against the two: after each step of a random sequence, row and fold are equal.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/** Times are milliseconds of the database's clock. `attempts` counts the attempts that were started and not handed back. */
interface Counts {
  readonly attempts: number
  readonly maxAttempts: number
  readonly dueAt: number
  readonly lastError: string | null
  /** The deadline, if it has one. */
  readonly expiresAt?: number | null
}

export type Entry = Data.TaggedEnum<{
  Pending: Counts
  Processing: Counts & { readonly claimId: string; readonly leaseUntil: number }
  Delivered: Counts & { readonly deliveredAt: number }
  Dead: Counts
  Discarded: Counts
}>
export const Entry = Data.taggedEnum<Entry>()

export type Command = Data.TaggedEnum<{
  /** A worker takes a due entry for as long as the lease runs. */
  Claim: { readonly now: number; readonly claimId: string; readonly lease: Duration.Duration }
  Succeed: { readonly claimId: string }
  /** `wait` is what the retry policy gives for this number of attempts: none when it is exhausted. */
  Fail: {
    readonly claimId: string
    readonly error: string
    readonly permanent: boolean
    readonly wait: Option.Option<Duration.Duration>
  }
  /** The worker that held it is gone: its attempt counts as failed. */
  ExpireLease: { readonly now: number; readonly wait: Option.Option<Duration.Duration> }
  /** Its deadline has come before it was delivered. */
  Expire: { readonly now: number }
  /** The worker gives it back untried: the attempt does not count. */
  HandBack: { readonly claimId: string }
  /** The event is newer than this build: it waits uncharged for a worker of a newer one. */
  Park: { readonly claimId: string; readonly error: string; readonly wait: Duration.Duration }
  /** Somebody has a dead entry tried again, after `wait`. */
  Redrive: { readonly wait: Duration.Duration }
  /** Somebody gives a dead entry up. */
  Discard: {}
}>
export const Command = Data.taggedEnum<Command>()

export type Fact = Data.TaggedEnum<{
  Claimed: { readonly claimId: string; readonly lease: Duration.Duration }
  Delivered: {}
  RetryScheduled: { readonly wait: Duration.Duration; readonly error: string }
  Died: { readonly error: string }
  HandedBack: {}
  Parked: { readonly wait: Duration.Duration; readonly error: string }
  Redriven: { readonly wait: Duration.Duration }
  Discarded: {}
}>
export const Fact = Data.taggedEnum<Fact>()

/** Why a command is refused. `Fenced`: somebody else holds the entry by now, or it is settled already. */
export type Refusal = "NotDue" | "Held" | "Fenced" | "Finished" | "NotDead"

/** What stands in `error_message` when a worker went away with the entry. */
export const leaseExpired = "the lease expired: the worker that held this entry stopped, or lost the database"

/** What stands in `error_message` of an entry that was not delivered by its deadline. */
export const deadlinePassed = "the deadline passed: it was not delivered by expires_at"

const isPastDeadline = ({ expiresAt = null }: Counts, now: number) => expiresAt !== null && expiresAt <= now

/** The dead-letter rule of the seed, `attempts >= max_attempts`, joined by: nothing left in the policy, or no use in trying. */
const failed = (
  entry: Counts,
  error: string,
  wait: Option.Option<Duration.Duration>,
  permanent: boolean
): Fact =>
  permanent || entry.attempts >= entry.maxAttempts || Option.isNone(wait)
    ? Fact.Died({ error })
    : Fact.RetryScheduled({ wait: wait.value, error })

export const decide = (entry: Entry, command: Command): Result.Result<Fact, Refusal> => {
  if (command._tag === "Redrive" || command._tag === "Discard") {
    if (entry._tag !== "Dead") return Result.fail("NotDead")
    return Result.succeed(command._tag === "Redrive" ? Fact.Redriven({ wait: command.wait }) : Fact.Discarded())
  }
  if (entry._tag === "Delivered" || entry._tag === "Dead" || entry._tag === "Discarded") {
    const byAnyone = command._tag === "Claim" || command._tag === "ExpireLease" || command._tag === "Expire"
    return Result.fail(byAnyone ? "Finished" : "Fenced")
  }
  switch (command._tag) {
    case "Claim":
      if (entry._tag === "Processing") return Result.fail("Held")
      if (entry.dueAt > command.now || isPastDeadline(entry, command.now)) return Result.fail("NotDue")
      return Result.succeed(Fact.Claimed({ claimId: command.claimId, lease: command.lease }))
    case "ExpireLease":
      if (entry._tag === "Pending") return Result.fail("NotDue")
      if (entry.leaseUntil >= command.now) return Result.fail("Held")
      return Result.succeed(failed(entry, leaseExpired, command.wait, false))
    case "Expire":
      if (!isPastDeadline(entry, command.now)) return Result.fail("NotDue")
      if (entry._tag === "Processing" && entry.leaseUntil >= command.now) return Result.fail("Held")
      return Result.succeed(Fact.Died({ error: deadlinePassed }))
    default:
      if (entry._tag === "Pending" || entry.claimId !== command.claimId) return Result.fail("Fenced")
      return Result.succeed(settled(entry, command))
  }
}

const settled = (
  entry: Counts,
  command: Data.TaggedEnum.Value<Command, "Succeed" | "Fail" | "HandBack" | "Park">
): Fact => {
  switch (command._tag) {
    case "Succeed":
      return Fact.Delivered()
    case "Fail":
      return failed(entry, command.error, command.wait, command.permanent)
    case "HandBack":
      return Fact.HandedBack()
    case "Park":
      return Fact.Parked({ wait: command.wait, error: command.error })
  }
}

/** The entry after `fact`, which was recorded at `at`. */
export const evolve = (entry: Entry, fact: Fact, at: number): Entry => {
  const { attempts, dueAt, expiresAt = null, lastError, maxAttempts } = entry
  const counts = { attempts, dueAt, expiresAt, lastError, maxAttempts }
  switch (fact._tag) {
    case "Claimed":
      return Entry.Processing({
        ...counts,
        attempts: attempts + 1,
        claimId: fact.claimId,
        leaseUntil: at + Duration.toMillis(fact.lease)
      })
    case "Delivered":
      return Entry.Delivered({ ...counts, deliveredAt: at })
    case "RetryScheduled":
      return Entry.Pending({ ...counts, dueAt: at + Duration.toMillis(fact.wait), lastError: fact.error })
    case "Died":
      return Entry.Dead({ ...counts, lastError: fact.error })
    case "HandedBack":
      return Entry.Pending({ ...counts, attempts: attempts - 1 })
    case "Parked":
      return Entry.Pending({
        ...counts,
        attempts: attempts - 1,
        dueAt: at + Duration.toMillis(fact.wait),
        lastError: fact.error
      })
    case "Redriven":
      return Entry.Pending({
        ...counts,
        attempts: 0,
        dueAt: at + Duration.toMillis(fact.wait),
        // With a deadline that has passed it would be dead again at once.
        expiresAt: isPastDeadline(counts, at) ? null : expiresAt
      })
    case "Discarded":
      return Entry.Discarded(counts)
  }
}
