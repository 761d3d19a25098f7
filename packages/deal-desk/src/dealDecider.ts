/** A deal as an aggregate: what it takes for something to happen to it, and what it is afterwards. Pure. */
import * as Decider from "@zakops/event-store/Decider"
import type { HappeningOf } from "@zakops/events/EventDefinition"
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { DealCreated, DealStageMoved } from "./events.ts"

export const Stage = Schema.Literals(["new", "offered", "won", "lost"])
export type Stage = typeof Stage.Type

export class Deal extends Schema.Class<Deal>("Deal")({
  dealId: Schema.String,
  title: Schema.String,
  amount: Schema.Int,
  stage: Stage
}) {}

export class DealNotFound extends Schema.TaggedError<DealNotFound>()("DealNotFound", {
  dealId: Schema.String,
  message: Schema.String
}, { httpApiStatus: 404 }) {}

export class DealExists extends Schema.TaggedError<DealExists>()("DealExists", {
  dealId: Schema.String,
  message: Schema.String
}, { httpApiStatus: 409 }) {}

export const notFound = (dealId: string) => new DealNotFound({ dealId, message: `there is no deal ${dealId}` })

export type DealCommand = Data.TaggedEnum<{
  Create: { readonly dealId: string; readonly title: string; readonly amount: number }
  MoveStage: { readonly dealId: string; readonly to: Stage }
}>
export const DealCommand = Data.taggedEnum<DealCommand>()

/** Nothing, before the deal was created. */
export type DealState = Deal | null

const create = ({ amount, dealId, title }: Data.TaggedEnum.Value<DealCommand, "Create">, deal: DealState) =>
  deal === null
    ? Result.succeed([DealCreated.of({ dealId, title, amount })])
    : Result.fail(new DealExists({ dealId, message: `there is a deal ${dealId} already` }))

const moveStage = ({ dealId, to }: Data.TaggedEnum.Value<DealCommand, "MoveStage">, deal: DealState) =>
  deal === null
    ? Result.fail(notFound(dealId))
    : Result.succeed([DealStageMoved.of({ dealId, from: deal.stage, to })])

/** What a stage's name in the log means today; the log may hold what an older build called otherwise. */
const stageNamed = Schema.decodeUnknownOption(Stage)

export const dealDecider = Decider.make({
  aggregateType: "deal",
  definitions: [DealCreated, DealStageMoved],
  initial: null as DealState,
  decide: (
    command: DealCommand,
    deal
  ): Result.Result<ReadonlyArray<HappeningOf<typeof DealCreated | typeof DealStageMoved>>, DealExists | DealNotFound> =>
    command._tag === "Create" ? create(command, deal) : moveStage(command, deal),
  evolve: (deal, event) => {
    switch (event.type) {
      case "deal.created":
        return new Deal({ ...event.data, stage: "new" })
      case "deal.stage_moved": {
        const stage = stageNamed(event.data.to)
        return deal === null || stage._tag === "None" ? deal : new Deal({ ...deal, stage: stage.value })
      }
    }
  },
  snapshot: { name: "deal", version: 1, state: Schema.NullOr(Deal), every: 50 }
})
