/** Who has changed what by hand, latest first. Only reads: each change writes its own row, in its own transaction. */
import type { InvalidRequest } from "@zakops/outbox"
import * as Database from "@zakops/migrations/Database"
import { checkText } from "@zakops/outbox/deadLetters/DeadFilter"
import { splitPage } from "@zakops/outbox/deadLetters/splitPage"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import type { Deed } from "./api/audit.ts"
import type { PageOptions } from "./Entries.ts"
import type { Page } from "./EventStreams.ts"
import { forms, fromCursor, pageLimit, refusingValues, toCursor } from "./reading/pageCursor.ts"
import { toTimeOr } from "./reading/rowValues.ts"

export class Audit extends Context.Service<Audit, {
  readonly list: (
    filter?: { readonly by?: string | undefined; readonly action?: string | undefined },
    page?: PageOptions
  ) => Effect.Effect<Page<Deed>, InvalidRequest | SqlError>
}>()("@zakops/admin/Audit") {
  static readonly layer = Layer.effect(
    Audit,
    Effect.map(Database.make, ({ sql, table }) =>
      Audit.of({
        list: Effect.fn("Audit.list")(function*({ action, by } = {}, page = {}) {
          const limit = yield* pageLimit(page.limit)
          yield* checkText("by", by ?? "")
          yield* checkText("action", action ?? "")
          const after = yield* fromCursor("audit", [forms.number], page.after)
          const conditions = [
            by === undefined ? [] : [sql`by = ${by}`],
            action === undefined ? [] : [sql`action = ${action}`],
            after === undefined ? [] : [sql`id < ${after[0]}::bigint`]
          ].flat()
          const rows = yield* refusingValues(page.after)(sql<Row>`
            SELECT id::text AS id, at, by, action, filter::text AS filter, count::text AS count FROM ${table.audit} AS audit
            WHERE ${conditions.length === 0 ? sql`true` : sql.and(conditions)} ORDER BY audit.id DESC LIMIT ${
            limit + 1
          }::int`)
          const { last, page: shown } = splitPage(rows, limit)
          return {
            items: shown.map(({ action, at, by, count, filter, id }): Deed => ({
              id: BigInt(id),
              at: toTimeOr(at, new Date(0)),
              by,
              action,
              filter,
              count: BigInt(count)
            })),
            next: last === undefined ? null : toCursor("audit", [last.id])
          }
        })
      }))
  )
}

interface Row {
  readonly id: string
  readonly at: unknown
  readonly by: string
  readonly action: string
  readonly filter: string
  readonly count: string
}
