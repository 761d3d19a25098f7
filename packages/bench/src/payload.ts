/** What all contestants carry: about 350 bytes of JSON. */
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Schema from "effect/Schema"

const note = "n".repeat(280)

export const Payload = Schema.Struct({ dealId: Schema.String, price: Schema.Int, note: Schema.String })
export type Payload = typeof Payload.Type

export const payload = (n: number): Payload => ({
  dealId: `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`,
  price: n % 1000,
  note
})

export const DealPriced = EventDefinition.make("deal.priced", {
  aggregateType: "deal",
  aggregateId: (deal) => deal.dealId,
  payload: Payload
})

export const range = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, n) => n)

/** The numbers below `count` in parts of `size`. */
export const parts = (count: number, size: number): ReadonlyArray<ReadonlyArray<number>> =>
  range(Math.ceil(count / size)).map((part) => range(Math.min(size, count - part * size)).map((n) => part * size + n))

/** The number that a payload was made of, wherever it comes from. */
export const numberOf = (data: unknown): number => Number((data as Payload).dealId.slice(-12))
