/** Every version of every event that the deal desk has ever written is read by this build. */
import { assert, describe, it } from "@effect/vitest"
import * as events from "@zakops/deal-desk/events"
import * as Effect from "effect/Effect"
import history from "./history/events.json" with { type: "json" }

const definitions = Object.values(events)

describe("the history of the deal desk", () => {
  it("has an example of each version of each event", () => {
    const versions = definitions.flatMap(({ type, version }) =>
      Array.from({ length: version }, (_, i) => `${type} ${i + 1}`)
    )
    assert.sameMembers(history.map(({ type, version }) => `${type} ${version}`), versions)
  })

  it.effect.each(history)(
    "$type version $version becomes the newest",
    ({ data, newest, type, version }) =>
      Effect.gen(function*() {
        const definition = definitions.find((one) => one.type === type) ??
          assert.fail(`${type} is not defined any more`)
        const event = yield* definition.decode({
          id: "0190a8f2-0000-7000-8000-000000000001",
          correlationId: "0190a8f2-0000-7000-8000-000000000002",
          aggregateType: null,
          aggregateId: null,
          eventType: type,
          schemaVersion: version,
          data,
          traceId: null,
          headers: {},
          createdAt: new Date(0),
          orderingKey: null,
          sequence: null
        })
        assert.deepStrictEqual(event.data, newest as typeof event.data)
      })
  )
})
