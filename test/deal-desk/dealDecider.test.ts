/** The deal, in given / when / then; and the projections of it. */
// oxlint-disable vitest/expect-expect -- a specification asserts
import { assert, describe, it, layer } from "@effect/vitest"
import { Deal, DealCommand, dealDecider, DealExists, notFound } from "@zakops/deal-desk/dealDecider"
import { ActionAdded, DealCreated, DealStageMoved } from "@zakops/deal-desk/events"
import { pipeline, timeline } from "@zakops/deal-desk/projections"
import { makeTables } from "@zakops/deal-desk/tables"
import * as DeciderSpecification from "@zakops/event-store/testing/DeciderSpecification"
import * as ProjectionSpecification from "@zakops/event-store/testing/ProjectionSpecification"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestDatabase from "../support/TestDatabase.ts"

const dealId = "0190a8f2-0000-7000-8000-00000000000a"
const created = DealCreated.of({ dealId, title: "Tea for two", amount: 10 })
const moved = (from: string, to: string) => DealStageMoved.of({ dealId, from, to })
const create = DealCommand.Create({ dealId, title: "Tea for two", amount: 10 })
const deal = DeciderSpecification.of(dealDecider)

describe("a deal", () => {
  it("is created once", () => {
    deal.given().when(create).then(created)
    deal.given(created).when(create).thenRefuses(
      new DealExists({ dealId, message: `there is a deal ${dealId} already` })
    )
  })

  it("moves from the stage that it is in", () => {
    const win = DealCommand.MoveStage({ dealId, to: "won" })
    deal.given().when(win).thenRefuses(notFound(dealId))
    deal.given(created).when(win).then(moved("new", "won"))
    deal.given(created, moved("new", "offered")).when(win).then(moved("offered", "won"))
    deal.given(created).when(win).thenState(new Deal({ dealId, title: "Tea for two", amount: 10, stage: "won" }))
  })

  it("stays where it is when an old event names a stage that there is no more", () => {
    deal.given(created, moved("new", "haggling")).thenState(
      new Deal({ dealId, title: "Tea for two", amount: 10, stage: "new" })
    )
  })

  it("shows in a specification that does not hold", () => {
    assert.throws(() => deal.given().when(create).then())
    assert.throws(() => deal.given().when(create).then(moved("new", "won")))
    assert.throws(() => deal.given().when(create).thenRefuses(notFound(dealId)))
    assert.throws(() => deal.given(created).when(create).then(created))
    assert.throws(() => deal.given(created).when(create).thenRefuses(notFound(dealId)))
    assert.throws(() => deal.given(created).thenState(null))
  })
})

layer(Layer.effectDiscard(makeTables).pipe(Layer.provideMerge(TestDatabase.layer)))(
  "the projections of deals",
  (it) => {
    const history = Effect.all([
      DealCreated.make(created.data),
      DealStageMoved.make({ dealId, from: "new", to: "offered" })
    ])

    it.effect("count the deals of each stage", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const report = sql<{ stage: string; amount: number }>`SELECT stage, amount FROM deal_desk.pipeline`
        const won = yield* DealStageMoved.make({ dealId, from: "offered", to: "won" })
        yield* ProjectionSpecification.of(pipeline).given(...(yield* history)).when(won).then(report, [{
          stage: "won",
          amount: 10
        }])
      }))

    it.effect("tell each deal's story, actions included", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const story = sql<{ entry: string }>`SELECT entry FROM deal_desk.timeline ORDER BY entry`
        const action = yield* ActionAdded.make({ actionId: dealId, dealId, title: "call them" })
        yield* ProjectionSpecification.of(timeline).given(...(yield* history)).when(action).then(story, [
          { entry: "created: Tea for two" },
          { entry: "new -> offered" },
          { entry: "to do: call them" }
        ])
      }))
  }
)
