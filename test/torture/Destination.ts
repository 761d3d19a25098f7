/** The publisher to the destination outside the database, as an application would write it: over HTTP, with the event's id. */
import { EventPublisher, Transient, TransportDown } from "@zakops/events/EventPublisher"
import { Permanent } from "@zakops/events/EventPublisher"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { request } from "node:http"

/** What an attempt failed with that may have been taken all the same. */
export const connectionLost = "the connection was lost before the answer"

/** @param worker who calls, as it stands in the ledger */
export const layerDestination = (port: number, worker: string): Layer.Layer<EventPublisher> =>
  Layer.succeed(
    EventPublisher,
    {
      _tag: "External",
      destination: "the ledger",
      publish: ({ data, id }) =>
        Effect.callback<void, PublishError>((resume) => {
          const call = request({ host: "127.0.0.1", port, method: "POST" }, (response) => {
            response.resume()
            switch (response.statusCode) {
              case 200:
                return resume(Effect.void)
              case 422:
                return resume(new Permanent({ reason: "refused for good" }))
              default:
                return resume(new Transient({ reason: `refused with ${response.statusCode}` }))
            }
          })
          call.on("error", (error: NodeJS.ErrnoException) =>
            resume(
              error.code === "ECONNREFUSED"
                ? new TransportDown({ reason: "nobody listens" })
                : new Transient({ reason: `${connectionLost}: ${error.code ?? error.message}` })
            ))
          const { fate } = data as { readonly fate: string }
          call.end(JSON.stringify({ id, fate, worker }))
          return Effect.sync(() => call.destroy())
        })
    } satisfies External
  )
