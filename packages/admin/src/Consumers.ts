/**
 * Who reads the log: each subscription with its place, how far it is behind, and what it has parked; and what an operator does with what is
 * parked and with projections, with an audit row in the same transaction.
 */
import { discardParked, listParked, retryParked } from "@zakops/event-store/parkedEvents"
import type { ParkedSelection } from "@zakops/event-store/parkedEvents"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import type { ProjectionRefused } from "@zakops/event-store/ProjectionCatalog"
import * as Database from "@zakops/migrations/Database"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import { InvalidRequest } from "@zakops/outbox"
import { checkBy, checkText } from "@zakops/outbox/deadLetters/DeadFilter"
import { recordAudit } from "@zakops/outbox/deadLetters/recordAudit"
import { splitPage } from "@zakops/outbox/deadLetters/splitPage"
import { uuid } from "@zakops/outbox/emitting/identifiers"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Struct from "effect/Struct"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Consumer, ParkedEvent } from "./api/consumers.ts"
import type { PageOptions } from "./Entries.ts"
import type { Page } from "./EventStreams.ts"
import { byIndex } from "./reading/counting.ts"
import { forms, fromCursor, pageLimit, refusingValues, toCursor } from "./reading/pageCursor.ts"
import { readConsumers } from "./reading/readConsumers.ts"

type Failure = InvalidRequest | SqlError
type ProjectionFailure = Failure | ProjectionRefused | InvalidSchemaName

export class Consumers extends Context.Service<Consumers, {
  /** All subscriptions by name. Lag is counted up to 10,000 events of each. */
  readonly list: Effect.Effect<ReadonlyArray<Consumer>, SqlError>
  /** What a subscription has parked, in the order of the log. */
  readonly parked: (subscription: string, page?: PageOptions) => Effect.Effect<Page<ParkedEvent>, Failure>
  /** Has parked events tried again by whoever runs the subscription. Gives how many. */
  readonly retryParked: (
    subscription: string,
    events: ParkedSelection,
    options: { readonly by: string }
  ) => Effect.Effect<number, Failure>
  /** Gives parked events up for this subscription. Gives how many. */
  readonly discardParked: (
    subscription: string,
    events: ParkedSelection,
    options: { readonly by: string }
  ) => Effect.Effect<number, Failure>
  /** Has a projection emptied and built anew by whoever runs it, its live version unless one is given. Gives which. */
  readonly rebuild: (
    name: string,
    version: number | undefined,
    options: { readonly by: string }
  ) => Effect.Effect<number, ProjectionFailure>
  /** Has the version be the live one as soon as it has caught up. */
  readonly switchTo: (
    name: string,
    version: number,
    options: { readonly by: string }
  ) => Effect.Effect<void, ProjectionFailure>
}>()("@zakops/admin/Consumers") {
  static readonly layer = Layer.effect(
    Consumers,
    Effect.map(Database.make, (db) => {
      const audit = recordAudit(db)
      const change = (action: "retry parked" | "discard parked", work: typeof retryParked) =>
        Effect.fnUntraced(function*(subscription: string, events: ParkedSelection, options: { readonly by: string }) {
          yield* checkText("subscription", subscription)
          const by = yield* checkBy(options.by)
          const wrong = events === "all" ? undefined : events.find((id) => !uuid.test(id))
          if (wrong !== undefined) {
            return yield* new InvalidRequest({
              field: "events",
              problem: `contains ${JSON.stringify(wrong)}, which is no UUID`
            })
          }
          return yield* db.sql.withTransaction(Effect.gen(function*() {
            const count = yield* work(db, subscription, events)
            if (count > 0) yield* audit({ by, action, filter: { subscription, events }, count })
            return count
          }))
        })
      const ask = Effect.fnUntraced(function*<E>(
        action: "rebuild" | "switch",
        name: string,
        options: { readonly by: string },
        request: Effect.Effect<number, E, SqlClient>
      ) {
        yield* checkText("name", name)
        const by = yield* checkBy(options.by)
        return yield* db.sql.withTransaction(Effect.gen(function*() {
          const version = yield* Effect.provideService(request, SqlClient, db.sql)
          yield* audit({ by, action, filter: { name, version }, count: 1 })
          return version
        }))
      })
      return Consumers.of({
        list: readConsumers(db).pipe(Effect.withSpan("Consumers.list")),
        parked: Effect.fn("Consumers.parked")(function*(subscription, page = {}) {
          const limit = yield* pageLimit(page.limit)
          yield* checkText("subscription", subscription)
          const [xid = "0", position = "0"] = (yield* fromCursor("parked", [forms.xid, forms.number], page.after)) ?? []
          const rows = yield* refusingValues(page.after)(
            byIndex(db)(listParked(db, subscription, { after: { xid, position: BigInt(position) }, limit: limit + 1 }))
          )
          const { last, page: shown } = splitPage(rows, limit)
          return {
            items: shown.map((row): ParkedEvent => Struct.omit(row, ["xid"])),
            next: last === undefined ? null : toCursor("parked", [last.xid, String(last.position)])
          }
        }),
        retryParked: change("retry parked", retryParked),
        discardParked: change("discard parked", discardParked),
        rebuild: (name, version, options) =>
          ask("rebuild", name, options, ProjectionCatalog.requestRebuild(name, version)),
        switchTo: (name, version, options) =>
          ask("switch", name, options, Effect.as(ProjectionCatalog.requestSwitch(name, version), version))
      })
    })
  )
}
