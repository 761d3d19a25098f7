/** What a caller may give `emit`, typed or not. */
import type { Expectation } from "./expectations.ts"
import { byPostgres, delivered, refused } from "./expectations.ts"

export interface EmitCase {
  readonly name: string
  /** Instead of, or beside, the options of a healthy emission. */
  readonly options?: Readonly<Record<string, unknown>>
  /** Instead of what `EventDefinition.make` has given. */
  readonly event?: Readonly<Record<string, unknown>>
  /** The payload of an event whose schema takes anything; a function, so that large ones are made late. */
  readonly payload?: () => unknown
  readonly expected: Expectation
}

const notUuids = {
  "empty": "",
  "a word": "deal-123",
  "a digit short": "0190a8f2-0000-7000-8000-00000000000",
  "in braces": "{0190a8f2-0000-7000-8000-000000000001}",
  "with a line break": "0190a8f2-0000-7000-8000-000000000001\n",
  "with NUL": "0190a8f2-0000-7000-8000-00000000000\u0000",
  "SQL": "'; DROP TABLE zakops.outbox; --",
  "a number": 7,
  "NaN": NaN,
  "an object": {},
  "a list": ["0190a8f2-0000-7000-8000-000000000001"],
  "null": null
}

const ofIds = (field: string, also: Readonly<Record<string, unknown>> = {}): ReadonlyArray<EmitCase> =>
  Object.entries({ ...notUuids, ...also })
    // Null stands for no id of one's own.
    .map(([what, value]) => ({
      name: `${field} ${what}`,
      options: { [field]: value },
      expected: field === "id" && value === null ? delivered : refused(field)
    }))

const ids: ReadonlyArray<EmitCase> = [
  ...ofIds("correlationId", { missing: undefined }),
  ...ofIds("id"),
  ...ofIds("traceId", { "33 digits": "ab".repeat(16) + "c" }),
  {
    name: "correlationId in capitals",
    options: { correlationId: "0190A8F2-0000-7000-8000-0000000000AB" },
    expected: delivered
  },
  { name: "traceId of 32 digits", options: { traceId: "ab".repeat(16) }, expected: delivered },
  { name: "traceId of zeros", options: { traceId: "0".repeat(32) }, expected: delivered }
]

const attempts: ReadonlyArray<EmitCase> = [
  ...[0, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53, "5", null, 3n].map((value) => ({
    name: `maxAttempts ${typeof value} ${value}`,
    options: { maxAttempts: value },
    expected: value === null ? delivered : refused("maxAttempts")
  })),
  { name: "maxAttempts as large as an integer", options: { maxAttempts: 2 ** 31 - 1 }, expected: delivered }
]

const times: ReadonlyArray<EmitCase> = [
  ...(["deliverAt", "expiresAt"] as const).flatMap((field) => [
    { name: `${field} an invalid date`, options: { [field]: new Date(NaN) }, expected: refused(field) },
    { name: `${field} in the year 275760`, options: { [field]: new Date(8.64e15) }, expected: refused(field) },
    { name: `${field} before Christ`, options: { [field]: new Date(-8.64e15) }, expected: refused(field) },
    { name: `${field} a text`, options: { [field]: "2026-01-01T00:00:00Z" }, expected: refused(field) },
    { name: `${field} in milliseconds`, options: { [field]: 1_700_000_000_000 }, expected: refused(field) }
  ]),
  { name: "deliverAt in the year 1", options: { deliverAt: new Date("0001-01-01") }, expected: delivered },
  { name: "deliverAt in the year 0", options: { deliverAt: new Date("0000-12-31") }, expected: refused("deliverAt") },
  { name: "deliverAt in 1901, by now", options: { deliverAt: new Date("1901-01-01") }, expected: delivered },
  {
    name: "deliverAt with another zone",
    options: { deliverAt: new Date("2020-01-01T00:00:00+14:00") },
    expected: delivered
  },
  {
    name: "expiresAt no later than deliverAt",
    options: { deliverAt: new Date(5), expiresAt: new Date(5) },
    expected: refused("expiresAt")
  },
  { name: "delay together with deliverAt", options: { delay: 0, deliverAt: new Date(5) }, expected: refused("delay") },
  ...[NaN, -1, Infinity, -Infinity, "-1 second", "soon", "", [], true, "101 years", 1e300].map((value) => ({
    name: `delay ${typeof value} ${JSON.stringify(value)} ${String(value)}`,
    options: { delay: value },
    expected: refused("delay")
  })),
  { name: "delay of no units", options: { delay: {} }, expected: delivered },
  { name: "delay of -0", options: { delay: -0 }, expected: delivered },
  { name: "delay of a fraction of a nanosecond", options: { delay: 1e-9 }, expected: delivered }
]

const keys: ReadonlyArray<EmitCase> = [
  ...(["orderingKey", "dedupeKey"] as const).flatMap((field) => [
    { name: `${field} empty`, options: { [field]: "" }, expected: refused(field) },
    { name: `${field} of 201 characters`, options: { [field]: "x".repeat(201) }, expected: refused(field) },
    { name: `${field} of 1 MB`, options: { [field]: "x".repeat(1_000_000) }, expected: refused(field) },
    {
      name: `${field} of 200 characters outside the first plane`,
      options: { [field]: "😀".repeat(200) },
      expected: delivered
    },
    { name: `${field} with NUL`, options: { [field]: "a\u0000" }, expected: refused(field) },
    { name: `${field} with half a surrogate pair`, options: { [field]: "a\udfff" }, expected: refused(field) },
    { name: `${field} of spaces`, options: { [field]: "   " }, expected: delivered },
    { name: `${field} SQL`, options: { [field]: `'; DROP TABLE zakops.outbox; --"` }, expected: delivered },
    { name: `${field} a list in the form of Postgres`, options: { [field]: "{a,NULL,\"}" }, expected: delivered },
    { name: `${field} a number`, options: { [field]: 7 }, expected: refused(field) },
    { name: `${field} an object`, options: { [field]: { length: 3 } }, expected: refused(field) },
    { name: `${field} __proto__`, options: { [field]: "__proto__" }, expected: delivered }
  ]),
  { name: "orderingKey null", options: { orderingKey: null }, expected: delivered },
  { name: "dedupeWindow without a dedupeKey", options: { dedupeWindow: 1000 }, expected: refused("dedupeWindow") },
  ...[0, -0, -1, NaN, Infinity, "soon", {}].map((value) => ({
    name: `dedupeWindow ${typeof value} ${Object.is(value, -0) ? "-0" : String(value)}`,
    options: { dedupeKey: "k", dedupeWindow: value },
    expected: refused("dedupeWindow")
  }))
]

const headers: ReadonlyArray<EmitCase> = [
  { name: "headers a text", options: { headers: "a" }, expected: refused("headers") },
  { name: "headers a list", options: { headers: ["a"] }, expected: refused("headers") },
  { name: "headers a Map", options: { headers: new Map([["a", "b"]]) }, expected: refused("headers") },
  { name: "headers with a number", options: { headers: { a: 7 } }, expected: refused("headers.a") },
  { name: "headers with null", options: { headers: { a: null } }, expected: refused("headers.a") },
  { name: "headers with an object", options: { headers: { a: { b: "c" } } }, expected: refused("headers.a") },
  { name: "headers with NUL", options: { headers: { a: "\u0000" } }, expected: refused("headers.a") },
  {
    name: "headers with NUL in a name",
    options: { headers: { "a\u0000": "b" } },
    expected: refused(`headers["a\\u0000"]`)
  },
  { name: "headers with half a surrogate pair", options: { headers: { a: "\ud800" } }, expected: refused("headers.a") },
  {
    name: "headers larger than the limit",
    options: { headers: { a: "x".repeat(1_048_577) } },
    expected: refused("headers")
  },
  {
    name: "headers with __proto__",
    options: { headers: JSON.parse(`{"__proto__":"x","constructor":"y"}`) },
    expected: delivered
  },
  { name: "headers with an empty name", options: { headers: { "": "" } }, expected: delivered },
  { name: "headers with line breaks", options: { headers: { "a\r\nb": "c\r\nd: e" } }, expected: delivered },
  {
    name: "headers with a thousand names",
    options: { headers: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`h${i}`, "x"])) },
    expected: delivered
  },
  { name: "headers with one that is undefined", options: { headers: { a: undefined } }, expected: delivered }
]

const events: ReadonlyArray<EmitCase> = [
  ...([["type", 100], ["aggregateType", 50], ["aggregateId", 100]] as const).flatMap(([field, most]) => [
    { name: `${field} of ${most} characters`, event: { [field]: "ü".repeat(most) }, expected: delivered },
    { name: `${field} of 300 characters`, event: { [field]: "x".repeat(300) }, expected: refused(field) },
    { name: `${field} with NUL`, event: { [field]: "a\u0000b" }, expected: refused(field) },
    { name: `${field} with half a surrogate pair`, event: { [field]: "\ud83d" }, expected: refused(field) },
    { name: `${field} a number`, event: { [field]: 7 }, expected: refused(field) },
    { name: `${field} SQL`, event: { [field]: `'; DROP TABLE outbox; --` }, expected: delivered },
    { name: `${field} missing`, event: { [field]: undefined }, expected: refused(field) }
  ]),
  { name: "type empty", event: { type: "" }, expected: refused("type") },
  { name: "type that nobody knows", event: { type: "no.such.event" }, expected: delivered },
  { name: "type __proto__", event: { type: "__proto__" }, expected: delivered },
  { name: "aggregateType empty", event: { aggregateType: "" }, expected: delivered },
  { name: "aggregateId empty", event: { aggregateId: "" }, expected: delivered },
  ...[0, -1, 1.5, NaN, Infinity, 2 ** 31, "1", null, undefined].map((value) => ({
    name: `schemaVersion ${typeof value} ${value}`,
    event: { schemaVersion: value },
    expected: refused("schemaVersion")
  })),
  { name: "json that is none", event: { json: "{" }, expected: byPostgres("22P02", /json/) },
  { name: "json with an escaped NUL", event: { json: `"\\u0000"` }, expected: byPostgres("22P05", /Unicode/) },
  { name: "json missing", event: { json: undefined }, expected: refused("data") },
  {
    name: "an event that is none",
    event: { type: undefined, json: undefined, schemaVersion: undefined },
    expected: refused("type")
  }
]

const nested = (levels: number) => {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}
const cyclic = () => {
  const one: Record<string, unknown> = {}
  one["self"] = one
  return one
}
class Deal {
  readonly title = "t"
}

const payloads: ReadonlyArray<EmitCase> = [
  ...([
    ["undefined", undefined],
    ["NaN", NaN],
    ["Infinity", Infinity],
    ["-Infinity", -Infinity],
    ["a bigint", 2n ** 64n],
    ["a symbol", Symbol("s")],
    ["a function", () => 1],
    ["a Date", new Date(0)],
    ["a Map", new Map()],
    ["a Set", new Set()],
    ["bytes", new Uint8Array(2)],
    ["an instance of a class", new Deal()],
    ["a regular expression", /a/],
    ["a promise", Promise.resolve(1)],
    ["NUL", "\u0000"],
    ["half a surrogate pair", "\ud800"]
  ] as const).map(([what, value]) => ({ name: `payload ${what}`, payload: () => value, expected: refused("data") })),
  { name: "payload with NaN inside", payload: () => ({ a: [{ b: NaN }] }), expected: refused("data.a[0].b") },
  { name: "payload with undefined in a list", payload: () => [undefined], expected: refused("data[0]") },
  {
    name: "payload with a hole in a list",
    payload: () => Array.from({ length: 3 }).toSpliced(0, 3, ...Array(3)),
    expected: refused("data[0]")
  },
  { name: "payload with NUL in a name", payload: () => ({ "\u0000": 1 }), expected: refused(`data["\\u0000"]`) },
  {
    name: "payload that contains itself",
    payload: cyclic,
    expected: { _tag: "Refused", field: `data${".self".repeat(201)}` }
  },
  { name: "payload one byte over 1 MiB", payload: () => "x".repeat(1_048_575), expected: refused("data") },
  { name: "payload of 1 MiB to the byte", payload: () => "x".repeat(1_048_574), expected: delivered },
  { name: "payload 200 levels deep", payload: () => nested(200), expected: delivered },
  { name: "payload -0", payload: () => -0, expected: delivered },
  { name: "payload beyond 2^53", payload: () => 2 ** 53 + 2, expected: delivered },
  {
    name: "payload as large as a number can be",
    payload: () => [Number.MAX_VALUE, Number.MIN_VALUE],
    expected: delivered
  },
  { name: "payload with __proto__", payload: () => JSON.parse(`{"__proto__":{"admin":true}}`), expected: delivered },
  {
    name: "payload with constructor and toString",
    payload: () => ({ constructor: 1, toString: 2, hasOwnProperty: 3 }),
    expected: delivered
  },
  {
    name: "payload without a prototype",
    payload: () => Object.assign(Object.create(null), { a: 1 }),
    expected: delivered
  },
  { name: "payload with its own toJSON", payload: () => ({ toJSON: () => 1 }), expected: refused("data.toJSON") },
  { name: "payload null", payload: () => null, expected: delivered },
  { name: "payload an empty text", payload: () => "", expected: delivered },
  { name: "payload an empty name", payload: () => ({ "": {} }), expected: delivered },
  { name: "payload with control characters", payload: () => "\u0001\u001f\u007f\u2028\ufeff", expected: delivered },
  {
    name: "payload of SQL and quotes",
    payload: () => `'; DROP TABLE zakops.outbox; -- \\ " $1 {} E'`,
    expected: delivered
  }
]

/** 10,000 levels, which no recursion survives. */
const deep: ReadonlyArray<EmitCase> = [
  { name: "payload 10,000 levels deep", payload: () => nested(10_000), expected: { _tag: "Refused", field: "data" } }
]

export const emitCases: ReadonlyArray<EmitCase> = [
  ...ids,
  ...attempts,
  ...times,
  ...keys,
  ...headers,
  ...events,
  ...payloads,
  ...deep
]
