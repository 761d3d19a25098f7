/** The seed's back-off, a hundred times shorter, so that a demo can show an entry die. */
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import { RetryPolicy } from "@zakops/outbox/RetryPolicy"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"

const ladder: RetrySchedule = Schedule.duration("50 millis").pipe(
  Schedule.concat(Schedule.duration("150 millis")),
  Schedule.concat(Schedule.duration("600 millis")),
  Schedule.concat(Schedule.duration("3 seconds")),
  Schedule.concat(Schedule.spaced("9 seconds"))
)

export const layerShortWaits = Layer.succeed(RetryPolicy, ladder)
