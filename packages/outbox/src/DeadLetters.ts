/**
 * Entries that are delivered no more by themselves: to be looked at, redriven or discarded by somebody.
 *
 * What is changed is audited in the same transaction, and never everything unless that was asked for in so many words. Needs only the
 * database, so any process can do it; whether processors run makes no difference.
 */
import type { AnyEventDefinition, Services } from "@zakops/events/EventDefinition"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type { StoppedMidway } from "./deadLetters/changeDead.ts"
import type { DeadGroup, DeadGrouping } from "./deadLetters/countDead.ts"
import { countDead, groupDead } from "./deadLetters/countDead.ts"
import type { DeadFilter, DeadSelection, EmptyFilter } from "./deadLetters/DeadFilter.ts"
import { checkBy, checkFilter, checkSelection, InvalidRequest } from "./deadLetters/DeadFilter.ts"
import { discard } from "./deadLetters/discard.ts"
import type { UnreadableHistory } from "./deadLetters/EntryHistory.ts"
import { checkId } from "./deadLetters/EntryHistory.ts"
import type { InspectedEntry } from "./deadLetters/inspectEntry.ts"
import { inspectEntry } from "./deadLetters/inspectEntry.ts"
import type { DeadPage, PageOptions } from "./deadLetters/listDead.ts"
import { listDead } from "./deadLetters/listDead.ts"
import { redrive } from "./deadLetters/redrive.ts"
import type { DryRun } from "./deadLetters/rehearse.ts"
import { rehearse } from "./deadLetters/rehearse.ts"

export interface DiscardOptions {
  /** Who does it, for the audit. */
  readonly by: string
}

export interface RedriveOptions extends DiscardOptions {
  /** How many entries become due in a second, more than 0. All at once unless given. */
  readonly rate?: number | undefined
}

type ChangeError = EmptyFilter | InvalidRequest | StoppedMidway | SqlError

export class DeadLetters extends Context.Service<DeadLetters, {
  /** A page of what the filter finds, latest written first; `{}` finds all. */
  readonly list: (filter?: DeadFilter, page?: PageOptions) => Effect.Effect<DeadPage, InvalidRequest | SqlError>
  /** How many the filter finds; with `latest`, none but the latest so many are looked at. */
  readonly count: (
    filter?: DeadFilter,
    options?: { readonly latest?: number | undefined }
  ) => Effect.Effect<number, InvalidRequest | SqlError>
  /**
   * The 100 largest groups of what the filter finds, largest first; by age, youngest first. With `latest`, of the latest so many that it
   * finds: grouping takes some 20 microseconds for each.
   */
  readonly groups: (
    by: DeadGrouping,
    filter?: DeadFilter,
    options?: { readonly latest?: number | undefined }
  ) => Effect.Effect<ReadonlyArray<DeadGroup>, InvalidRequest | SqlError>
  /** All that is known of an entry, whatever its state. */
  readonly inspect: (
    id: string
  ) => Effect.Effect<Option.Option<InspectedEntry>, InvalidRequest | UnreadableHistory | SqlError>
  /**
   * Has what is dead by now tried again, and gives how many. They keep id, settings, headers and history, and have all their attempts
   * again; a deadline that has passed is dropped. With an ordering key: what holds up its key keeps its place, what does not goes to
   * the end. 1,000 a transaction, or all in the one that is open; one audit row counts those that were committed.
   */
  readonly redrive: (selection: DeadSelection, options: RedriveOptions) => Effect.Effect<number, ChangeError>
  /** What `redrive` would meet, by the definitions of this build: reads every entry, and changes nothing. */
  readonly dryRun: <D extends AnyEventDefinition>(
    selection: DeadSelection,
    definitions: ReadonlyArray<D>
  ) => Effect.Effect<DryRun, EmptyFilter | InvalidRequest | SqlError, Services<D>>
  /** Gives up what is dead by now, and gives how many. Their keys go on without them. In transactions as `redrive`. */
  readonly discard: (selection: DeadSelection, options: DiscardOptions) => Effect.Effect<number, ChangeError>
}>()("@zakops/outbox/DeadLetters") {
  static readonly layer = Layer.effect(
    DeadLetters,
    Effect.gen(function*() {
      const db = yield* Database.make
      const find = listDead(db)
      const count = countDead(db)
      const group = groupDead(db)
      const inspect = inspectEntry(db)
      const revive = redrive(db)
      const giveUp = discard(db)
      const tryOut = rehearse(db)
      return DeadLetters.of({
        list: Effect.fn("DeadLetters.list")(function*(filter = {}, page = {}) {
          return yield* find(yield* checkFilter(filter), page)
        }),
        count: Effect.fn("DeadLetters.count")(function*(filter = {}, { latest } = {}) {
          return yield* count(yield* checkFilter(filter), latest)
        }),
        groups: Effect.fn("DeadLetters.groups")(function*(by, filter = {}, { latest } = {}) {
          return yield* group(by, yield* checkFilter(filter), latest)
        }),
        inspect: Effect.fn("DeadLetters.inspect")(function*(id) {
          return yield* inspect(yield* checkId(id))
        }),
        redrive: Effect.fn("DeadLetters.redrive")(function*(selection, { by, rate }) {
          const filter = yield* checkSelection(selection, "redrive")
          return yield* revive(filter, yield* checkBy(by), yield* checkRate(rate))
        }),
        dryRun: Effect.fn("DeadLetters.dryRun")(function*(selection, definitions) {
          return yield* tryOut(yield* checkSelection(selection, "dry run"), definitions)
        }),
        discard: Effect.fn("DeadLetters.discard")(function*(selection, { by }) {
          return yield* giveUp(yield* checkSelection(selection, "discard"), yield* checkBy(by))
        })
      })
    })
  )
}

// Below one an hour, a redrive of some thousand entries would end beyond what a timestamp holds.
const slowest = 1 / 3600

const checkRate = (rate: number | undefined) =>
  rate === undefined || (rate >= slowest && rate <= 1_000_000)
    ? Effect.succeed(rate)
    : Effect.fail(
      new InvalidRequest({ field: "rate", problem: `is ${rate} a second: allowed is from one an hour to a million` })
    )
