/** What every EventStore has to do, whatever stands behind it. Run it for each implementation. */
import { layer } from "@effect/vitest"
import type { EventStore } from "@zakops/event-store/EventStore"
import type * as Layer from "effect/Layer"
import { appendContract } from "./appendContract.ts"
import { commandContract } from "./commandContract.ts"
import { concurrentAppendContract } from "./concurrentAppendContract.ts"

export const eventStoreContract = <E>(name: string, implementation: Layer.Layer<EventStore, E>) =>
  layer(implementation, { excludeTestServices: true })(name, (it) => {
    appendContract(it)
    concurrentAppendContract(it)
    commandContract(it)
  })
