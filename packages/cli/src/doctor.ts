/** `zakops doctor`: looks the database over, and prints what is wrong with it and how to put it right. */
import { Doctor } from "@zakops/admin/doctor/Doctor"
import type { Finding, Severity } from "@zakops/admin/doctor/Finding"
import { Severity as Severities } from "@zakops/admin/doctor/Finding"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { databaseUrl, layerLazyClient } from "./Database.ts"
import { json } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { Problem, tellProblems } from "./Problem.ts"
import { painted } from "./colour.ts"
import { harmless } from "./table.ts"

const colours = { ok: "green", notice: "cyan", warning: "yellow", serious: "red" } as const

const inWords = (findings: ReadonlyArray<Finding>): string => {
  const width = Math.max(...findings.map(({ check }) => check.length))
  return findings.flatMap(({ check, detail, fix, severity, title }) => {
    const indent = " ".repeat(10)
    return [
      `${painted(colours[severity], severity.padEnd(8))}  ${check.padEnd(width)}  ${harmless(title)}`,
      ...(detail === "" ? [] : [`${indent}${harmless(detail)}`]),
      ...(fix === null ? [] : [`${indent}fix: ${harmless(fix)}`])
    ]
  }).join("\n")
}

/** At least as bad as `from`. */
const from = (severity: Severity) => (finding: Finding) =>
  Severities.literals.indexOf(finding.severity) >= Severities.literals.indexOf(severity)

const quiet = Flag.Boolean("quiet").pipe(
  Flag.withAlias("q"),
  Flag.withDefault(false),
  Flag.withDescription("Leave out what is as it should be")
)
const failOn = Flag.Literals("fail-on", ["notice", "warning", "serious"]).pipe(
  Flag.withDefault("serious" as const),
  Flag.withDescription("How bad a finding has to be for exit code 1: notice, warning or serious; serious if not given")
)

const run = Effect.fnUntraced(function*({ failOn, json, quiet }: {
  readonly failOn: Exclude<Severity, "ok">
  readonly json: boolean
  readonly quiet: boolean
}) {
  const { shown, url } = yield* tellProblems("")(databaseUrl)
  const all = yield* Effect.flatMap(Doctor, ({ examine }) => examine).pipe(
    Effect.provide(Layer.provide(Doctor.layer, layerLazyClient(url))),
    tellProblems(shown)
  )
  const findings = quiet ? all.filter(from("notice")) : all
  const bad = all.filter(from(failOn)).length
  if (json) yield* Console.log(toJson(findings))
  else {
    if (findings.length > 0) yield* Console.log(inWords(findings))
    const count = (severity: Severity) => all.filter((finding) => finding.severity === severity).length
    yield* Console.log(
      `\n${shown}: ${count("serious")} serious, ${count("warning")} warnings, ${count("notice")} notices, ${
        count("ok")
      } ok`
    )
  }
  // What was found is printed already.
  if (bad > 0) return yield* new Problem({ line: `${bad} findings are ${failOn} or worse` })
})

export const command = Command.make("doctor", { quiet, failOn, json }, run).pipe(
  Command.withDescription(
    "Look the database over: what is wrong, how bad it is, and how to put it right. Ends with 1 where something is serious"
  )
)
