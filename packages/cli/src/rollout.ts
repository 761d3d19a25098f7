/** `zakops rollout report`: how the two ways of the types in shadow mode compare. */
import { RolloutReport } from "@zakops/outbox"
import type { Finding, TypeReport } from "@zakops/outbox/RolloutReport"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { misuse } from "./Problem.ts"
import { asTable } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const json = Flag.Boolean("json").pipe(Flag.withDefault(false), Flag.withDescription("Print JSON instead of a table"))
const since = Flag.String("since").pipe(
  Flag.optional,
  Flag.withDescription("Only what went out at this time or later, like 2026-11-24T08:00:00Z; everything unless given")
)

const findings: ReadonlyArray<readonly [Finding, string]> = [
  ["matched", "matched"],
  ["different", "different"],
  ["onlyDirect", "only direct"],
  ["onlyOutbox", "only outbox"],
  ["waiting", "waiting"],
  ["dead", "dead copy"],
  ["neither", "neither"]
]

const asText = (reports: ReadonlyArray<TypeReport>) => {
  const table = asTable(
    ["type", ...findings.map(([, words]) => words)],
    reports.map((report) => [report.eventType, ...findings.map(([finding]) => String(report[finding]))])
  )
  const firsts = reports.flatMap(({ eventType, firstIds }) =>
    findings.flatMap(([finding, words]) => (firstIds[finding] ?? []).map((id) => [eventType, words, id]))
  )
  return firsts.length === 0 ? table : `${table}\n\n${asTable(["type", "the first of", "event"], firsts)}`
}

/** `since` as a time, or none; a `Problem` where it is not one. */
const timeOf = (given: Option.Option<string>) => {
  if (Option.isNone(given)) return Effect.succeed(undefined)
  const time = new Date(given.value)
  return Number.isNaN(time.getTime())
    ? misuse(`--since is ${JSON.stringify(given.value)}, which is no time like 2026-11-24T08:00:00Z`)
    : Effect.succeed(time)
}

const report = Command.make("report", { since, json }, ({ json, since }) =>
  withTables(() =>
    Effect.gen(function*() {
      const { report } = yield* RolloutReport
      const reports = yield* report({ since: yield* timeOf(since) })
      yield* Console.log(json ? JSON.stringify(reports, undefined, 2) : asText(reports))
    }).pipe(Effect.provide(RolloutReport.layer))
  )).pipe(Command.withDescription("Compare both ways of the event types that are in shadow mode"))

export const command = Command.make("rollout").pipe(
  Command.withDescription("Move event types from direct publishing to the outbox"),
  Command.withSubcommands([report])
)
