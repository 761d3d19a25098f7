/**
 * One runner for each subscription, across all processes: whoever holds the lease of its checkpoint. The others stand by and take over
 * when it is given up, or when it runs out because its holder is gone.
 *
 * A holder that was stopped for longer than its lease finds that its checkpoint no longer moves: the fence is the owner's id.
 */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import type { Cursor, CursorOfAnotherServer } from "./Cursor.ts"

/**
 * Nothing more may be written for the subscription from here: somebody else runs it by now, or its checkpoint is not where this runner
 * left it, since a COMMIT had succeeded whose answer was lost.
 */
export class LeaseLost extends Data.TaggedError("LeaseLost")<{ readonly subscription: string }> {}

export interface Ownership {
  readonly owner: string
  /** Where the checkpoint stood when the lease was taken. */
  readonly cursor: Cursor
}

/**
 * Takes the lease if it is free, or run out. A subscription that is new begins at `first`. Gives nothing where somebody else holds it.
 */
const acquire = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(subscription: string, owner: string, lease: Duration.Duration, first: Cursor) {
    const time = yield* now
    const until = sql`${time} + ${Duration.toMillis(lease)}::float8 * interval '1 millisecond'`
    const runner = `${hostname()}:${process.pid}`
    const [row] = yield* sql<{ at: string; position: bigint }>`
      INSERT INTO ${table.checkpoints} AS checkpoint (subscription, xid, position, updated_at, owner, runner, lease_until)
      VALUES (${subscription}, ${first.xid}::xid8, ${first.position}, ${time}, ${owner}::uuid, ${runner}, ${until})
      ON CONFLICT (subscription) DO UPDATE SET owner = excluded.owner, runner = excluded.runner, lease_until = excluded.lease_until
        WHERE checkpoint.lease_until IS NULL OR checkpoint.lease_until < ${time} OR checkpoint.owner = excluded.owner
      RETURNING checkpoint.xid::text AS at, checkpoint.position`
    return row === undefined ? undefined : { xid: row.at, position: row.position }
  })

const renew = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(subscription: string, owner: string, lease: Duration.Duration) {
    const time = yield* now
    const rows = yield* sql`
      UPDATE ${table.checkpoints} SET lease_until = ${time} + ${
      Duration.toMillis(lease)
    }::float8 * interval '1 millisecond'
      WHERE subscription = ${subscription} AND owner = ${owner}::uuid RETURNING 1`
    return rows.length === 1
  })

const release = ({ sql, table }: Database) => (subscription: string, owner: string) =>
  sql`UPDATE ${table.checkpoints} SET owner = NULL, runner = NULL, lease_until = NULL
    WHERE subscription = ${subscription} AND owner = ${owner}::uuid`

/**
 * Moves the checkpoint, as its owner only, and only from `from` where that is given: fails with `LeaseLost` otherwise. Locks it until the
 * end of the transaction that is open.
 */
export const advance = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(subscription: string, owner: string, to: Cursor, from?: Cursor) {
    const time = yield* now
    const place = from === undefined
      ? sql.literal("true")
      : sql`xid = ${from.xid}::xid8 AND position = ${from.position}`
    const rows = yield* sql`
      UPDATE ${table.checkpoints} SET xid = ${to.xid}::xid8, position = ${to.position}, updated_at = ${time}
      WHERE subscription = ${subscription} AND owner = ${owner}::uuid AND ${place} RETURNING 1`
    if (rows.length === 0) return yield* new LeaseLost({ subscription })
  })

/**
 * Runs `work` whenever, and for as long as, this process holds the lease; stands by otherwise, looking every `pollInterval`. The lease is
 * renewed at a third, and given up when `work` ends or is interrupted. Fails with what `work` fails with, other than `LeaseLost`.
 *
 * @param first where a new subscription begins
 * @param outlast what to do while the database is in trouble
 */
export const whileOwner = <E0>(
  db: Database,
  subscription: string,
  options: {
    readonly lease: Duration.Duration
    readonly pollInterval: Duration.Duration
    readonly first: Effect.Effect<Cursor, SqlError | CursorOfAnotherServer>
    readonly outlast: <A>(self: Effect.Effect<A, SqlError | CursorOfAnotherServer>) => Effect.Effect<A, E0>
  }
) => {
  const { first, lease, outlast, pollInterval } = options
  const owner = randomUUID()
  const tryToAcquire = outlast(Effect.flatMap(first, (cursor) => acquire(db)(subscription, owner, lease, cursor)))

  const keepRenewing = renew(db)(subscription, owner, lease).pipe(
    Effect.catch((error) =>
      Effect.as(Effect.logWarning(`renewing the lease of ${subscription} failed: ${SqlErrors.serverText(error)}`), true)
    ),
    Effect.delay(Duration.times(lease, 1 / 3)),
    Effect.repeat({ while: (held) => held }),
    Effect.andThen(Effect.fail(new LeaseLost({ subscription })))
  )
  // Where the database cannot be told, the lease runs out by itself.
  const giveUp = Effect.ignore(release(db)(subscription, owner))

  return <E, R>(
    work: (ownership: Ownership) => Effect.Effect<never, E | LeaseLost, R>
  ): Effect.Effect<never, E | E0, R> =>
    Effect.gen(function*() {
      while (true) {
        const cursor = yield* tryToAcquire
        if (cursor === undefined) {
          yield* Effect.sleep(pollInterval)
          continue
        }
        yield* work({ owner, cursor }).pipe(
          Effect.raceFirst(keepRenewing),
          Effect.catchIf(
            (error): error is LeaseLost => error instanceof LeaseLost,
            () =>
              Effect.logWarning(
                `${subscription} begins again at its checkpoint: another process has run it, or the answer to a COMMIT was lost`
              )
          ),
          Effect.ensuring(giveUp)
        )
      }
    }) as Effect.Effect<never, E | E0, R>
}
