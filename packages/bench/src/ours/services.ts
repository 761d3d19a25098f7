/** Ours, as a program has it: the layers of the README over a pool, with the publisher and the settings of the contestant. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { EventPublisher } from "@zakops/events/EventPublisher"
import type { External } from "@zakops/events/EventPublisher"
import { migrate } from "@zakops/migrations/Migrations"
import type { OutboxSettings } from "@zakops/outbox/OutboxConfig"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { layerServices } from "@zakops/outbox/OutboxLive"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { SqlClient } from "effect/sql/SqlClient"

/** A destination outside of the database that takes everything at once, and calls `took` for it. */
export const takesAll = (took: () => void): External => ({
  _tag: "External",
  destination: "nowhere",
  publish: () => Effect.sync(took)
})

export const layerExternal = (publisher: External) => Layer.succeed(EventPublisher, publisher)

export interface OursOptions<E> {
  readonly publisher: Layer.Layer<EventPublisher, E, PgClient.PgClient | SqlClient>
  readonly settings?: Partial<OutboxSettings>
  /** Connections of the program's pool; the processor has its own. */
  readonly connections?: number
  /** The program's client: sql-pg's unless given. */
  readonly client?: typeof PgClient.layer
}

/** The services, in the scope. Nothing runs until it is started. */
export const ours = <E>(url: string, options: OursOptions<E>) =>
  Layer.build(
    layerServices.pipe(
      Layer.provideMerge(OutboxConfig.layerWith(options.settings ?? {})),
      Layer.provideMerge(options.publisher),
      Layer.provideMerge(Layer.effectDiscard(migrate)),
      Layer.provideMerge(
        (options.client ?? PgClient.layer)({ url: Redacted.make(url), maxConnections: options.connections ?? 10 })
      )
    )
  )
