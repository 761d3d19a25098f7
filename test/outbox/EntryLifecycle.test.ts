/** The SQL of the processor against the pure state machine: after every step of a random sequence, row and fold are equal. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Database from "@zakops/migrations/Database"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { DeadLetters } from "@zakops/outbox/DeadLetters"
import { expireEntries } from "@zakops/outbox/delivering/expireEntries"
import type { Fact } from "@zakops/outbox/EntryLifecycle"
import { Command, decide, Entry, evolve, leaseExpired } from "@zakops/outbox/EntryLifecycle"
import { asProcessing } from "@zakops/outbox/claiming/OutboxEntry"
import { waitAfter } from "@zakops/events/RetrySchedule"
import { ladder } from "@zakops/outbox/RetryPolicy"
import { settleDelivered, settleUndelivered } from "@zakops/outbox/delivering/settleEntries"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { claim, mainLane } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const lease = Duration.seconds(30)

/** One step: time passes, then somebody does something. `stale` uses the claim before the last one. */
const Step = Schema.Struct({
  seconds: Schema.Literals([0, 1, 5, 15, 31, 60, 300]),
  action: Schema.Literals([
    "claim",
    "succeed",
    "fail",
    "fail permanently",
    "hand back",
    "park",
    "redrive",
    "discard",
    "expire"
  ]),
  stale: Schema.Boolean
})
const Steps = Schema.Array(Step).check(Schema.isMinLength(5), Schema.isMaxLength(30))
const MaxAttempts = Schema.Literals([1, 2, 3, 5, 6])
/** Seconds after the start; many are never reached. */
const Deadline = Schema.Literals([20, 100, 1000, 100_000])

type Step = typeof Step.Type

const fresh = (maxAttempts: number, expiresAt: number | null = null): Entry =>
  Entry.Pending({ attempts: 0, maxAttempts, dueAt: 0, lastError: null, expiresAt })

describe("EntryLifecycle", () => {
  const walk = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>, maxAttempts: number, deadline: number) {
    let entry = fresh(maxAttempts, deadline * 1000)
    let now = 0
    const seen: Array<{ readonly now: number; readonly before: Entry; readonly fact: Fact; readonly after: Entry }> = []
    for (const step of steps) {
      now += step.seconds * 1000
      const claimId = step.stale ? "stale" : "mine"
      const wait = yield* waitAfter(ladder, entry.attempts)
      const command = {
        claim: Command.Claim({ now, claimId: "mine", lease }),
        succeed: Command.Succeed({ claimId }),
        fail: Command.Fail({ claimId, error: "no", permanent: false, wait }),
        "fail permanently": Command.Fail({ claimId, error: "no", permanent: true, wait }),
        "hand back": Command.HandBack({ claimId }),
        park: Command.Park({ claimId, error: "newer", wait: Duration.seconds(60) }),
        redrive: Command.Redrive({ wait: Duration.zero }),
        discard: Command.Discard(),
        expire: Command.Expire({ now })
      }[step.action]
      const decided = decide(entry, command)
      if (Result.isFailure(decided)) continue
      const after = evolve(entry, decided.success, now)
      seen.push({ now, before: entry, fact: decided.success, after })
      entry = after
    }
    return seen
  })

  it.effect.prop(
    "an entry is never tried beyond its maximum, and is dead only when there is a reason",
    {
      steps: Steps,
      maxAttempts: MaxAttempts,
      deadline: Deadline
    },
    Effect.fnUntraced(function*({ deadline, maxAttempts, steps }) {
      for (const { after, before, fact, now } of yield* walk(steps, maxAttempts, deadline)) {
        // A redrive drops a deadline that has passed.
        const expiresAt = before._tag === "Pending" ? before.expiresAt ?? Infinity : Infinity
        if (fact._tag === "Claimed") assert.isBelow(now, expiresAt, "nothing is taken after its deadline")
        assert.isAtMost(after.attempts, maxAttempts)
        if (fact._tag === "RetryScheduled") assert.isBelow(before.attempts, maxAttempts)
        assert.notInclude(["Delivered", "Discarded"], before._tag, "what has ended stays as it is")
        const byHand = fact._tag === "Redriven" || fact._tag === "Discarded"
        assert.strictEqual(before._tag === "Dead", byHand, "what is dead moves by hand only, and nothing else does")
      }
    })
  )

  it.effect.prop(
    "handing back charges nothing: what follows sees the entry as if it had not been claimed",
    {
      maxAttempts: MaxAttempts
    },
    Effect.fnUntraced(function*({ maxAttempts }) {
      const before = fresh(maxAttempts)
      const claimed = evolve(
        before,
        Result.getOrThrow(decide(before, Command.Claim({ now: 0, claimId: "a", lease }))),
        0
      )
      const back = evolve(claimed, Result.getOrThrow(decide(claimed, Command.HandBack({ claimId: "a" }))), 1)
      assert.deepStrictEqual(back, before)
      yield* Effect.void
    })
  )

  it("redrives and discards what is dead, once, and nothing else", () => {
    const counts = { attempts: 5, maxAttempts: 5, dueAt: 7, lastError: "no", expiresAt: 90 }
    const redrive = Command.Redrive({ wait: Duration.seconds(2) })
    const dead = Entry.Dead(counts)
    const redriven = evolve(dead, Result.getOrThrow(decide(dead, redrive)), 100)
    assert.deepStrictEqual(redriven, Entry.Pending({ ...counts, attempts: 0, dueAt: 2100, expiresAt: null }))
    const discarded = evolve(dead, Result.getOrThrow(decide(dead, Command.Discard())), 100)
    assert.deepStrictEqual(discarded, Entry.Discarded(counts))
    const held = Entry.Processing({ ...counts, claimId: "a", leaseUntil: 50 })
    for (const entry of [redriven, discarded, held, Entry.Delivered({ ...counts, deliveredAt: 1 })]) {
      assert.deepStrictEqual(decide(entry, redrive), Result.fail("NotDead"))
      assert.deepStrictEqual(decide(entry, Command.Discard()), Result.fail("NotDead"))
    }
    const claim = Command.Claim({ now: 3000, claimId: "b", lease })
    assert.deepStrictEqual(decide(discarded, claim), Result.fail("Finished"))
    assert.isTrue(Result.isSuccess(decide(redriven, claim)))
  })

  it("refuses what does not hold the claim, is not due, is held, or has ended", () => {
    const pending = Entry.Pending({ attempts: 0, maxAttempts: 5, dueAt: 10, lastError: null })
    assert.deepStrictEqual(decide(pending, Command.Claim({ now: 9, claimId: "a", lease })), Result.fail("NotDue"))
    assert.deepStrictEqual(decide(pending, Command.Succeed({ claimId: "a" })), Result.fail("Fenced"))
    const held = Entry.Processing({
      attempts: 1,
      maxAttempts: 5,
      dueAt: 0,
      lastError: null,
      claimId: "a",
      leaseUntil: 50
    })
    assert.deepStrictEqual(decide(held, Command.Claim({ now: 60, claimId: "b", lease })), Result.fail("Held"))
    assert.deepStrictEqual(decide(held, Command.Succeed({ claimId: "b" })), Result.fail("Fenced"))
    assert.deepStrictEqual(decide(held, Command.ExpireLease({ now: 50, wait: Option.none() })), Result.fail("Held"))
    const dead = Entry.Dead({ attempts: 5, maxAttempts: 5, dueAt: 0, lastError: "no" })
    assert.deepStrictEqual(decide(dead, Command.Claim({ now: 60, claimId: "b", lease })), Result.fail("Finished"))
    assert.deepStrictEqual(decide(dead, Command.HandBack({ claimId: "b" })), Result.fail("Fenced"))
  })
})

const OnVirtualTime = DeadLetters.layer.pipe(
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

layer(OnVirtualTime)("the SQL and EntryLifecycle", (it) => {
  /** The row as the state machine sees it. */
  const readEntry = Effect.fnUntraced(function*(id: string) {
    const sql = yield* SqlClient
    const [row] = yield* sql<Row>`
      SELECT status, attempts, max_attempts, coalesce(extract(epoch FROM next_attempt_at) * 1000, 0)::float8 AS due_at, claim_id,
        (extract(epoch FROM expires_at) * 1000)::float8 AS expires_at,
        (extract(epoch FROM lease_until) * 1000)::float8 AS lease_until,
        (extract(epoch FROM delivered_at) * 1000)::float8 AS delivered_at, error_message, discarded_at IS NOT NULL AS discarded
      FROM zakops.outbox WHERE id = ${id}::uuid`
    if (row === undefined) return assert.fail("the row is gone")
    const counts = {
      attempts: row.attempts,
      maxAttempts: row.max_attempts,
      dueAt: row.due_at,
      lastError: row.error_message,
      expiresAt: row.expires_at
    }
    switch (row.status) {
      case "pending":
        assert.isNull(row.claim_id)
        return Entry.Pending(counts)
      case "processing":
        return Entry.Processing({ ...counts, claimId: row.claim_id ?? "", leaseUntil: row.lease_until ?? NaN })
      case "delivered":
        return Entry.Delivered({ ...counts, deliveredAt: row.delivered_at ?? NaN })
      case "dead":
        return row.discarded ? Entry.Discarded(counts) : Entry.Dead(counts)
    }
  })

  interface Row {
    readonly status: "pending" | "processing" | "delivered" | "dead"
    readonly attempts: number
    readonly max_attempts: number
    readonly due_at: number
    readonly expires_at: number | null
    readonly claim_id: string | null
    readonly lease_until: number | null
    readonly delivered_at: number | null
    readonly error_message: string | null
    readonly discarded: boolean
  }

  it.effect.prop(
    "agree after every step of any sequence",
    { steps: Steps, maxAttempts: MaxAttempts, deadline: Deadline },
    Effect.fnUntraced(function*({ deadline, maxAttempts, steps }) {
      const sql = yield* SqlClient
      const db = yield* Database.make
      yield* sql`DELETE FROM zakops.outbox`
      const id = randomUUID()
      const start = yield* Clock.currentTimeMillis
      const expiresAt = start + deadline * 1000
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, max_attempts, next_attempt_at, expires_at)
        VALUES (${id}, ${id}, 'deal.made', '{}', ${maxAttempts}, ${new Date(start)}, ${new Date(expiresAt)})`
      const fold: { entry: Entry } = {
        entry: Entry.Pending({ attempts: 0, maxAttempts, dueAt: start, lastError: null, expiresAt })
      }
      let claims = [randomUUID(), randomUUID()] as const
      const settle = settleUndelivered(db, "anywhere")
      const apply = (command: Command, now: number) => {
        const decided = decide(fold.entry, command)
        if (Result.isSuccess(decided)) fold.entry = evolve(fold.entry, decided.success, now)
        return decided
      }

      for (const step of steps) {
        yield* TestClock.adjust(Duration.seconds(step.seconds))
        const now = yield* Clock.currentTimeMillis
        if (step.action === "claim") {
          const claimId = randomUUID()
          const [entry] = yield* claim(10, lease, claimId)
          const expected = apply(Command.Claim({ now, claimId, lease }), now)
          if (Result.isSuccess(expected)) {
            claims = [claims[1], claimId]
            assert.deepInclude(entry, { id, claimId, expired: false, attempts: fold.entry.attempts })
          } else if (fold.entry._tag === "Processing" && entry !== undefined) {
            // Somebody's lease has run out. The claim takes the entry over, to fail the attempt of the one who is gone.
            assert.isTrue(entry.expired)
            const wait = yield* waitAfter(ladder, entry.attempts)
            const fact = Result.getOrThrow(apply(Command.ExpireLease({ now, wait }), now))
            assert.include(["RetryScheduled", "Died"], fact._tag)
            const settled = yield* settle([{ entry, fact: undelivered(fact), outcome: "lease_expired" }])
            assert.lengthOf(settled, 1)
            assert.strictEqual(fold.entry.lastError, leaseExpired)
          } else {
            assert.isUndefined(entry, `claimed although ${Result.isFailure(expected) ? expected.failure : ""}`)
          }
        } else if (step.action === "redrive" || step.action === "discard") {
          const dead = yield* DeadLetters
          const change = step.action === "redrive" ? dead.redrive : dead.discard
          const changed = yield* change({ ids: [id] }, { by: "the test" })
          const command = step.action === "redrive" ? Command.Redrive({ wait: Duration.zero }) : Command.Discard()
          assert.strictEqual(changed === 1, Result.isSuccess(apply(command, now)), "only what is dead")
        } else if (step.action === "expire") {
          const expired = yield* expireEntries(db, "anywhere")
          assert.strictEqual(
            expired.length === 1,
            Result.isSuccess(apply(Command.Expire({ now }), now)),
            "the deadline"
          )
        } else {
          const claimId = claims[step.stale ? 0 : 1]
          const held = {
            id,
            claimId,
            attempts: 1,
            orderingKey: null,
            seq: 1,
            worker: null,
            startedAt: null,
            traceId: null
          }
          const attempts = { attempts: fold.entry.attempts, maxAttempts, claimId: held.claimId }
          const wait = yield* waitAfter(ladder, fold.entry.attempts)
          const command = {
            succeed: Command.Succeed({ claimId: held.claimId }),
            fail: Command.Fail({ claimId: held.claimId, error: "no", permanent: false, wait }),
            "fail permanently": Command.Fail({ claimId: held.claimId, error: "never", permanent: true, wait }),
            "hand back": Command.HandBack({ claimId: held.claimId }),
            park: Command.Park({ claimId: held.claimId, error: "newer", wait: Duration.seconds(60) })
          }[step.action]
          // What the worker that believes it holds the entry writes, whatever has become of the entry.
          const fact = Result.getOrThrow(decide(asProcessing(attempts), command))
          const settled = fact._tag === "Delivered"
            ? yield* settleDelivered(db, mainLane())([{
              ...held,
              eventType: "",
              shadow: false,
              envelope: Result.fail("")
            }])
            : yield* settle([{ entry: held, fact: undelivered(fact), outcome: "failed" }])
          assert.strictEqual(settled.length === 1, Result.isSuccess(apply(command, now)), "the fence")
        }
        assert.deepStrictEqual(yield* readEntry(id), fold.entry)
      }
    }),
    { arbitrary: { runs: 60 } }
  )
})

const undelivered = (fact: Fact) => {
  if (
    fact._tag === "Claimed" || fact._tag === "Delivered" || fact._tag === "Redriven" || fact._tag === "Discarded"
  ) {
    return assert.fail(`${fact._tag} does not leave an entry undelivered`)
  }
  return fact
}
