/**
 * Entries of the outbox, whatever their state: found by filters, page by page, and one with all that is known of it.
 *
 * Only reads. No page looks at more than a bounded number of rows. Data and headers are given as they are stored; masking is the API's.
 */
import type { InvalidRequest } from "@zakops/outbox"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type { EntryDetail, EntryPage, EntryState } from "./api/entries.ts"
import { listEntries } from "./reading/listEntries.ts"
import { showEntry } from "./reading/showEntry.ts"

/** Each that is given has to hold. */
export interface EntryFilter {
  readonly state?: EntryState | undefined
  readonly type?: string | undefined
  /** The ordering key. */
  readonly key?: string | undefined
  /** A route's name; `""` is the main destination. */
  readonly destination?: string | undefined
  readonly aggregateType?: string | undefined
  readonly aggregateId?: string | undefined
  readonly correlationId?: string | undefined
  /** Part of the error's text. */
  readonly error?: string | undefined
}

export interface PageOptions {
  /** 1 to 500; 50 unless given. */
  readonly limit?: number | undefined
  /** `next` of the page before. */
  readonly after?: string | undefined
}

export class Entries extends Context.Service<Entries, {
  /**
   * A page: of one state in the order of its time (what is due next, what was delivered last, what was written last and is dead), of all
   * states by their ids, highest first. Stable while rows arrive: what was on a page is on no later one.
   */
  readonly list: (filter?: EntryFilter, page?: PageOptions) => Effect.Effect<EntryPage, InvalidRequest | SqlError>
  /** By the entry's id, or that of its event. */
  readonly show: (id: string) => Effect.Effect<Option.Option<EntryDetail>, InvalidRequest | SqlError>
}>()("@zakops/admin/Entries") {
  static readonly layer = Layer.effect(
    Entries,
    Effect.map(Database.make, (db) => {
      const list = listEntries(db)
      const show = showEntry(db)
      return Entries.of({
        list: Effect.fn("Entries.list")((filter = {}, page = {}) => list(filter, page)),
        show: Effect.fn("Entries.show")((id) => show(id))
      })
    })
  )
}
