/** What a program in plain SQL may write to zakops.outbox: columns as SQL expressions, instead of those of a healthy row. */
import type { Expectation } from "./expectations.ts"
import { byPostgres, dead, delivered, rests } from "./expectations.ts"

export interface ProducerCase {
  readonly name: string
  readonly columns: Readonly<Record<string, string>>
  /** In both ways of delivery, unless `external` says otherwise. */
  readonly expected: Expectation
  /** Where an external publisher is called, which needs the event in memory. */
  readonly external?: Expectation
  /** The healthy neighbour behind it has the same ordering key. */
  readonly sameKey?: boolean
}

export const nullable = [
  "aggregate_type",
  "aggregate_id",
  "event_type",
  "schema_version",
  "event_data",
  "trace_id",
  "status",
  "attempts",
  "max_attempts",
  "last_attempt_at",
  "next_attempt_at",
  "delivered_at",
  "error_message",
  "created_at",
  "ordering_key",
  "claim_id",
  "lease_until",
  "headers",
  "on_dead",
  "expires_at",
  "retry_waits",
  "waits_for",
  "claimed_by",
  "died_at",
  "discarded_at",
  "destination",
  "event_id"
] as const

const one = (column: string, values: ReadonlyArray<string>, expected: Expectation = delivered) =>
  values.map((value) => ({
    name: `${column} ${value.length > 60 ? `${value.slice(0, 57)}...` : value}`,
    columns: { [column]: value },
    expected
  }))

const nulls: ReadonlyArray<ProducerCase> = [
  ...nullable.map((column) => ({ name: `${column} NULL`, columns: { [column]: "NULL" }, expected: delivered })),
  {
    name: "NULL wherever it may stand",
    columns: Object.fromEntries(nullable.map((column) => [column, "NULL"])),
    expected: delivered
  },
  ...["id", "correlation_id", "blocks", "crashes", "redrives", "shadow"].flatMap((column) =>
    one(column, ["NULL"], byPostgres("23502", new RegExp(column)))
  )
]

const data: ReadonlyArray<ProducerCase> = [
  ...one("event_data", [
    `'null'`,
    `'true'`,
    `'7'`,
    `'"text"'`,
    `'[]'`,
    `'{"dealId": 7, "title": ["a"]}'`,
    `'{"__proto__": {"admin": true}, "constructor": null}'`,
    `'{"": {"": ""}}'`,
    `'9007199254740993'`,
    `'1e400'`,
    `'-1e-400'`,
    `to_jsonb('-0'::float8)`,
    `('[' || repeat('9', 10000) || ']')::jsonb`,
    `(repeat('[', 5000) || repeat(']', 5000))::jsonb`,
    `to_jsonb(repeat('x', 1048577))`,
    `(SELECT jsonb_object_agg('k' || i, i) FROM generate_series(1, 10000) AS i)`
  ]),
  {
    name: "event_data of 13 MiB",
    columns: { event_data: "to_jsonb(repeat('x', 13631488))" },
    expected: byPostgres("54000", /event_data is larger than 12 MiB/)
  },
  ...one("event_data", [`'{'`, `''`, `'NaN'`, `'Infinity'`, `'undefined'`], byPostgres("22P02", /json/)),
  ...one("event_data", [`'"\\u0000"'`], byPostgres("22P05", /Unicode/)),
  ...one("event_data", [`'"\\ud800"'`], byPostgres("22P02", /json/)),
  ...one("event_data", [`to_jsonb('infinity'::timestamptz)`, `to_jsonb('NaN'::float8)`])
]

const headers: ReadonlyArray<ProducerCase> = one("headers", [
  `'null'`,
  `'7'`,
  `'"text"'`,
  `'[]'`,
  `'[["a", "b"]]'`,
  `'{"a": 7, "b": null, "c": {"d": []}, "e": true}'`,
  `'{"__proto__": "x", "constructor": "y"}'`,
  `'{"": ""}'`,
  `to_jsonb(repeat('x', 1048577))`,
  `(SELECT jsonb_object_agg('h' || i, 'x') FROM generate_series(1, 10000) AS i)`
])

const numbers: ReadonlyArray<ProducerCase> = [
  ...one("attempts", ["-1", "-2147483648", "5", "2147483646", "2147483647"]),
  ...one("attempts", ["2147483648"], byPostgres("22003", /integer/)),
  ...one("attempts", ["'many'"], byPostgres("22P02", /integer/)),
  ...one("max_attempts", ["0", "-1", "-2147483648", "2147483647"]),
  ...one("schema_version", ["0", "-1", "-2147483648", "2147483647"]),
  ...one("crashes", ["-2147483648", "2", "2147483647"]),
  ...one("redrives", ["-1", "2147483647"]),
  ...one("seq", [
    "-9223372036854775808",
    "0",
    "9223372036854775807",
    "(SELECT max(seq) + 1000000 FROM zakops.outbox)",
    "9007199254740993"
  ]),
  ...one("retry_waits", [
    "'{}'",
    "'{NULL}'",
    "'{NaN, -1, NULL, Infinity, -Infinity}'",
    "'{1e308, -0, 5e-324}'",
    "'[5:6]={1,2}'",
    "'{{1,2},{3,4}}'",
    "array_fill(0::float8, ARRAY[20000])"
  ]),
  ...one("retry_waits", ["'{a}'"], byPostgres("22P02", /double precision/))
]

const strange = [
  "'infinity'",
  "'-infinity'",
  "'294276-12-31 23:59:59.999999+00'",
  "'4713-01-01 00:00:00 BC'",
  "'1582-10-10'"
]
const zones = ["'2026-01-01 00:00:00.999999-12'", "'2026-03-29 02:30 Europe/Berlin'", "'2026-06-30 23:59:60 UTC'"]

const times: ReadonlyArray<ProducerCase> = [
  ...["created_at", "last_attempt_at", "lease_until", "delivered_at", "died_at", "discarded_at"].flatMap((column) =>
    one(column, [...strange, ...zones])
  ),
  ...one("next_attempt_at", ["'-infinity'", "'4713-01-01 00:00:00 BC'", "'1582-10-10'", "'2026-01-01 00:00+14'"]),
  ...one("next_attempt_at", ["'infinity'", "'294276-12-31 23:59:59.999999+00'"], rests),
  ...one("expires_at", ["'infinity'", "'294276-12-31 23:59:59.999999+00'"]),
  ...one("expires_at", ["'-infinity'", "'4713-01-01 00:00:00 BC'"], dead(/the deadline passed/)),
  ...one("created_at", ["'294277-01-01'", "'5000-01-01 BC'", "'2026-02-30'"], byPostgres("22008", /timestamp|date/)),
  ...one("created_at", ["'yesterday week'", "''"], byPostgres("22007", /timestamp/)),
  ...one("created_at", ["'2026-01-01 Mars/Olympus'"], byPostgres("22023", /time zone/))
]

const words: ReadonlyArray<ProducerCase> = [
  ...one("status", ["''", "'PENDING'", "'banana'", "'Delivered'", "repeat('x', 50)", "'processing'"]),
  ...one("status", ["'delivered'", "'dead'"], rests),
  ...one("status", ["repeat('x', 51)"], byPostgres("22001", /50/)),
  ...one("on_dead", ["''", "'SKIP'", "'banana'"]),
  ...one("on_dead", ["'12345678901'"], byPostgres("22001", /10/)),
  ...one("waits_for", ["''", "'banana'", "'key'", "'turn'", "'KEY'"]),
  ...one("claimed_by", ["''", "repeat('x', 1048576)", "E'a\\nb'"]),
  ...one("error_message", ["repeat('x', 1048576)", "E'\\x01'"]),
  ...one("event_type", [
    "''",
    "'no.such.event'",
    "'__proto__'",
    "repeat('x', 100)",
    "E'a\\nb'",
    `'"; DROP TABLE x; --'`
  ]),
  ...one("event_type", ["repeat('x', 300)"], byPostgres("22001", /100/)),
  ...one("aggregate_type", ["''", "repeat('😀', 50)"]),
  ...one("aggregate_id", ["''", "repeat('😀', 100)"]),
  ...one("aggregate_id", ["repeat('x', 300)"], byPostgres("22001", /100/)),
  ...one("id", ["'1'", "''"], byPostgres("22P02", /uuid/)),
  ...one("correlation_id", ["'deal-123'"], byPostgres("22P02", /uuid/)),
  ...one("correlation_id", ["'00000000-0000-0000-0000-000000000000'", "'{0190A8F2-0000-7000-8000-000000000001}'"]),
  ...one("trace_id", ["'00000000000000000000000000000000'"]),
  ...one("claim_id", ["gen_random_uuid()"])
]

const keys: ReadonlyArray<ProducerCase> = [
  ...["''", "' '", "'__proto__'", "'{a,NULL}'", "repeat('x', 201)", "repeat('x', 100000)"].map((key) => ({
    name: `ordering_key ${key}`,
    columns: { ordering_key: key },
    expected: delivered,
    sameKey: true
  })),
  {
    name: "ordering_key of 1 MB that does not compress",
    columns: { ordering_key: "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 32768) AS i)" },
    expected: byPostgres("54000", /index/)
  },
  ...["'key'", "'banana'", "'turn'"].map((word) => ({
    name: `first of its key, waits_for ${word}`,
    columns: { ordering_key: "'a'", waits_for: word },
    expected: delivered,
    sameKey: true
  })),
  ...["-9223372036854775808", "-9223372036854775807", "9007199254740993"].map((seq) => ({
    name: `first of its key, seq ${seq}`,
    columns: { ordering_key: `'seq ${seq}'`, seq },
    expected: delivered,
    sameKey: seq.startsWith("-")
  })),
  {
    name: "blocks while pending",
    columns: { ordering_key: "'b'", blocks: "true" },
    expected: delivered,
    sameKey: true
  },
  {
    name: "delivered, and blocks its key",
    columns: { ordering_key: "'c'", blocks: "true", status: "'delivered'" },
    expected: rests,
    sameKey: true
  },
  { name: "blocks without a key", columns: { blocks: "true" }, expected: delivered },
  {
    name: "held, by nobody",
    columns: { ordering_key: "'d'", status: "'processing'" },
    expected: delivered,
    sameKey: true
  },
  {
    name: "held, until yesterday",
    columns: {
      status: "'processing'",
      lease_until: "now() - interval '1 day'",
      claim_id: "gen_random_uuid()",
      attempts: "1"
    },
    expected: delivered
  },
  { name: "held for ever", columns: { status: "'processing'", lease_until: "'infinity'" }, expected: rests },
  {
    name: "held, with all attempts used and a time beyond dates",
    columns: {
      status: "'processing'",
      attempts: "2147483647",
      max_attempts: "2147483647",
      last_attempt_at: "'infinity'",
      crashes: "2147483647"
    },
    expected: delivered,
    external: dead(/the lease expired/)
  }
]

/** An event_id counts only where there is a destination, and no worker here runs one. */
const routes: ReadonlyArray<ProducerCase> = [
  ...one("event_id", ["gen_random_uuid()", "'00000000-0000-0000-0000-000000000000'"]),
  ...one("event_id", ["'deal-123'"], byPostgres("22P02", /uuid/)),
  ...one("destination", ["''", "'no such route'", "'__proto__'", "repeat('x', 2000)"], rests),
  {
    name: "destination of 1 MB that does not compress",
    columns: { destination: "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 32768) AS i)" },
    expected: byPostgres("54000", /index/)
  }
]

export const producerCases: ReadonlyArray<ProducerCase> = [
  ...nulls,
  ...data,
  ...headers,
  ...numbers,
  ...times,
  ...words,
  ...keys,
  ...routes
]
