/**
 * No SQL is put together from text that somebody else has given: the sources are searched for the ways in which that could be done, and
 * each place where they are used stands in a list that was gone through by hand.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"

const root = join(import.meta.dirname, "..", "..")

const sources = ["migrations/src", "packages"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => join(root, folder, file))
).filter((path) => path.endsWith(".ts") && !/node_modules|\/dist\/|\/bench\//.test(path))
  .map((path) => ({ file: relative(root, path), text: readFileSync(path, "utf8") }))

interface Finding {
  readonly file: string
  readonly code: string
}

/** Whatever each pattern finds, but in comments. */
const find = (pattern: RegExp): ReadonlyArray<Finding> =>
  sources.flatMap(({ file, text }) =>
    [...text.replaceAll(/^\s*(\/\/|\/?\*).*$/gm, "").matchAll(pattern)]
      .map(([code]) => ({ file, code: code.replaceAll(/\s+/g, " ").trim() }))
  )

const patterns = {
  /** `sql.literal` of anything but a text that stands there, without a hole in it. */
  literal: /\bsql\.literal\((?!\s*"[^"]*"\s*\))(?!\s*`[^`$]*`\s*\))[^)]*\)?/g,
  unsafe: /\.unsafe(<[^(]*>)?\([^)]*\)?/g,
  /** SQL in a text with holes that is no statement's own template: the tag sql is missing. */
  template:
    /(?<!sql(?:<[^`]*>)?)`\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE|LOCK|WITH|SET)\b[^`]*\$\{[^`]*`/g
}

const found = Object.values(patterns).flatMap(find)

/** Where it is done, and why it is safe there. */
const reviewed: Readonly<Record<string, string>> = {
  // Statements and names of these two are made of SchemaName's names alone: a narrow pattern, and quoted.
  "migrations/src/Migrations.ts": "the statements of the migrations, and the schema's checked name",
  "migrations/src/plan.ts": "the statements of the migrations, and the schema's checked name",
  "migrations/src/roles.ts": "the statements of the roles, made of the schema's checked name",
  "migrations/src/Database.ts": "the tables' checked and quoted names",
  "migrations/src/0001_outbox_inbox_and_log.ts": "the tables' checked and quoted names",
  "migrations/src/0002_event_sourcing.ts": "the tables' checked and quoted names",
  "migrations/src/0003_delivery.ts": "the tables' checked and quoted names",
  "migrations/src/0004_destinations_and_workers.ts": "the tables' checked and quoted names",
  "migrations/src/0005_room_for_the_claim.ts": "the tables' checked and quoted names",
  "migrations/src/0006_order_of_the_parked.ts": "the tables' checked and quoted names",
  // Constants of the same or another module, and choices between constants.
  "packages/outbox/src/claiming/Selection.ts": "constants",
  "packages/outbox/src/claiming/claimEntries.ts": "constants",
  "packages/outbox/src/delivering/deliverSelection.ts": "constants",
  "packages/outbox/src/claiming/dueEntries.ts": "constants",
  "packages/outbox/src/claiming/dueRuns.ts": "constants",
  "packages/outbox/src/claiming/dueSuspect.ts": "constants",
  "packages/outbox/src/claiming/dueTurns.ts": "constants",
  "packages/outbox/src/delivering/isolateFailures.ts": "constants",
  "packages/outbox/src/delivering/watchBatch.ts": "a number, a constant",
  "packages/outbox/src/claiming/nextDueTime.ts": "constants",
  "packages/outbox/src/delivering/settleEntries.ts": "a choice between constants",
  "packages/outbox/src/delivering/settleFailedInPlace.ts": "constants",
  "packages/outbox/src/connecting/compiledOnce.ts": "the text of a template, put together by the client",
  "packages/outbox/src/connecting/keptText.ts": "the text of a template, put together by the client",
  "packages/outbox/src/emitting/insertEntries.ts": "choices between constants",
  "packages/outbox/src/emitting/insertOne.ts": "constants",
  "packages/outbox/src/routing/routedEntries.ts": "constants",
  "packages/outbox/src/routing/stateOfEvent.ts": "constants",
  "packages/outbox/src/routing/countDestinations.ts": "constants",
  "packages/outbox/src/deadLetters/redrive.ts": "a choice between constants",
  "packages/outbox/src/deadLetters/eventColumns.ts": "constants",
  "packages/outbox/src/deadLetters/DeadFilter.ts": "constants",
  "packages/outbox/src/OutboxOverview.ts": "constants",
  "packages/outbox/src/deadLetters/changeDead.ts": "constants",
  "packages/outbox/src/deadLetters/countDead.ts": "constants",
  "packages/outbox/src/deadLetters/discardHead.ts": "constants",
  "packages/outbox/src/deadLetters/inspectEntry.ts": "constants",
  "packages/outbox/src/deadLetters/listBlocked.ts": "constants",
  "packages/outbox/src/deadLetters/listDead.ts": "constants",
  "packages/outbox/src/deadLetters/unblockKey.ts": "constants",
  "packages/admin/src/reading/entryColumns.ts": "constants",
  "packages/admin/src/reading/entryWalks.ts": "constants",
  "packages/admin/src/reading/jsonColumns.ts": "a choice between constants",
  "packages/admin/src/reading/listEntries.ts": "constants: the columns that can be asked for",
  "packages/admin/src/reading/readOverview.ts": "constants",
  "packages/admin/src/reading/showEntry.ts": "constants",
  "packages/event-store/src/RecordedEvent.ts": "constants",
  "packages/event-store/src/appendEvents.ts": "a choice between constants",
  "packages/event-store/src/appendOne.ts": "constants",
  "packages/admin/src/doctor/deadLetters.ts": "constants",
  "packages/admin/src/doctor/delivery.ts": "choices between constants",
  // What somebody may paste who reads it, with names from the catalogue, quoted; the doctor runs none of it.
  "packages/admin/src/doctor/indexes.ts": "text to be shown",
  "packages/admin/src/doctor/transactions.ts": "text to be shown",
  "packages/admin/src/doctor/triggers.ts": "text to be shown",
  "packages/admin/src/doctor/vacuum.ts": "text to be shown",
  // Statements of a client that is not called sql: their holes are parameters.
  "packages/event-store/src/PostgresSubjectKeys.ts": "statements of a client of its own",
  "packages/outbox/src/PipelinedPgClient.ts": "constants, and the number of the session's server process",
  "packages/outbox/src/connecting/listen.ts": "statements of the client that is listened with",
  "packages/admin/src/doctor/listening.ts": "statements of the client that is listened with",
  "packages/deal-desk/src/tables.ts": "the worked example's own statements",
  "packages/deal-desk/src/demo/faults.ts": "the demo's own faults, with the schema's checked name"
}

describe("the sources", () => {
  it("make no SQL from text in any place that was not reviewed", () => {
    assert.deepStrictEqual(found.filter(({ file }) => reviewed[file] === undefined), [])
  })

  it("still do it where the list says so: it has no place that nobody needs", () => {
    const files = new Set(found.map(({ file }) => file))
    assert.deepStrictEqual(Object.keys(reviewed).filter((file) => !files.has(file)), [])
  })

  it("are searched by patterns that find what they are for", () => {
    const finds = (pattern: RegExp, code: string) => code.search(pattern) >= 0
    assert.isTrue(finds(patterns.unsafe, "sql.unsafe(`SELECT ${name}`)"))
    assert.isTrue(finds(patterns.unsafe, "sql.unsafe<{ name: string }>(`SELECT ${name}`)"))
    assert.isTrue(finds(patterns.literal, "sql.literal(name)"))
    assert.isTrue(finds(patterns.literal, "sql.literal(`\"${name}\"`)"))
    assert.isFalse(finds(patterns.literal, `sql.literal("entries")`))
    assert.isTrue(finds(patterns.template, "const text = `UPDATE ${name} SET a = 1`"))
    assert.isFalse(finds(patterns.template, "sql`UPDATE ${name} SET a = 1`"))
  })

  it("hand values over as parameters, never in quotes of their own", () => {
    assert.deepStrictEqual(find(/\bsql(<[^`]*>)?`[^`]*'\$\{[^`]*`/g), [])
  })
})
