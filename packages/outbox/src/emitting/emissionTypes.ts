/**
 * What TypeScript promises of an emission, looked at where it is given: callers in plain JavaScript, and data that was only asserted to be
 * of a type, reach `emit` too. Without it they would end in a defect, or in a statement that Postgres refuses.
 */
import { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as JsonText from "@zakops/events/JsonText"
import * as Predicate from "effect/Predicate"
import type { Emission } from "./Emission.ts"

const described = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return "a list"
  return typeof value === "number" || typeof value === "bigint" ? String(value) : `of type ${typeof value}`
}

const isVersion = (value: unknown) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 2_147_483_647

interface Rule {
  readonly field: string
  readonly value: (emission: Emission) => unknown
  readonly holds: (value: unknown) => boolean
  readonly wanted: string
}

const text = (field: string, value: Rule["value"], others: ReadonlyArray<null | undefined> = []): Rule => ({
  field,
  value,
  holds: (given) => typeof given === "string" || others.some((other) => other === given),
  wanted: "text"
})

const time = (field: "deliverAt" | "expiresAt"): Rule => ({
  field,
  value: (emission) => emission[field],
  holds: (given) => given === undefined || Predicate.isDate(given),
  wanted: "Date"
})

const rules: ReadonlyArray<Rule> = [
  text("type", ({ event }) => event.type),
  text("data", ({ event }) => event.json),
  text("aggregateType", ({ event }) => event.aggregateType, [null]),
  text("aggregateId", ({ event }) => event.aggregateId, [null]),
  {
    field: "schemaVersion",
    value: ({ event }) => event.schemaVersion,
    holds: isVersion,
    wanted: "whole number from 1 up"
  },
  text("correlationId", ({ correlationId }) => correlationId),
  text("id", ({ id }) => id, [null, undefined]),
  text("traceId", ({ traceId }) => traceId, [undefined]),
  text("orderingKey", ({ orderingKey }) => orderingKey, [null, undefined]),
  text("dedupeKey", ({ dedupeKey }) => dedupeKey, [undefined]),
  time("deliverAt"),
  time("expiresAt")
]

const headerProblem = (headers: unknown): readonly [field: string, problem: string] | undefined => {
  if (headers === undefined) return undefined
  if (!Predicate.isObject(headers)) return ["headers", `are ${described(headers)}, which is no record of texts`]
  const wrong = Object.entries(headers).find(([, value]) => typeof value !== "string" && value !== undefined)
  return wrong === undefined
    ? undefined
    : [JsonText.pathOf("headers", [wrong[0]]), `is ${described(wrong[1])}, which is no text`]
}

/** The first field that is not of its type. */
export const typeRefusal = (emission: Emission): InvalidEvent | undefined => {
  if (!Predicate.isObject(emission.event)) {
    return new InvalidEvent({ eventType: "", field: "event", problem: `is ${described(emission.event)}` })
  }
  const refuse = (field: string, problem: string) =>
    new InvalidEvent({ eventType: String(emission.event.type), field, problem })
  for (const { field, holds, value, wanted } of rules) {
    const given = value(emission)
    if (!holds(given)) return refuse(field, `is ${described(given)}, which is no ${wanted}`)
  }
  const wrong = headerProblem(emission.headers)
  return wrong === undefined ? undefined : refuse(...wrong)
}
