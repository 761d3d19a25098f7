/**
 * The reference of docs/cli.md, made of what `zakops ... --help` says of each command. Run by itself it writes the page anew:
 * `node test/support/cliReference.ts`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { zakops } from "@zakops/cli/zakops"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import type { HelpDoc } from "effect/cli/HelpDoc"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

export const page = join(import.meta.dirname, "..", "..", "docs", "cli.md")

/** What stands between the two is made here. */
const begin = "<!-- reference: made by test/support/cliReference.ts -->\n"
const end = "<!-- end of the reference -->\n"

const helpOf = (path: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    let found: HelpDoc | undefined
    const presenter = CliOutput.layerPresenter({
      present: (event) =>
        Effect.sync(() => {
          if (event._tag === "Help") found = event.helpDoc
        })
    })
    yield* Command.runWith(zakops, { version: "0" })([...path, "--help"]).pipe(
      Effect.provide(Layer.merge(NodeServices.layer, presenter))
    )
    return found ?? (yield* Effect.die(new Error(`no help of ${path.join(" ")}`)))
  })

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ")

const rows = (help: HelpDoc) => [
  ...(help.args ?? []).map(({ description, name, required, variadic }) => [
    `\`${name}\`${variadic ? " ..." : ""}`,
    `${Option.getOrElse(description, () => "")}${required ? "" : " (optional)"}`
  ]),
  ...help.flags.map(({ aliases, description, name, required, type }) => [
    `\`--${name}\`${aliases.map((alias) => `, \`${alias}\``).join("")}${type === "boolean" ? "" : ` ${type}`}`,
    `${Option.getOrElse(description, () => "")}${required ? " (required)" : ""}`
  ])
]

interface Section {
  readonly path: ReadonlyArray<string>
  readonly text: string
}

/** The sections of a command and all that is below it. */
const sectionsOf = (path: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Section>, never> =>
  Effect.gen(function*() {
    const help = yield* helpOf(path)
    const below = (help.subcommands ?? []).flatMap(({ commands }) => commands.map(({ name }) => name))
    const table = rows(help)
    const text = [
      `### zakops ${path.join(" ")}`,
      `${help.description}.`,
      `\`\`\`\n${help.usage}\n\`\`\``,
      ...(below.length === 0 ? [] : [`Commands: ${below.map((name) => `\`${name}\``).join(", ")}`]),
      ...(table.length === 0
        ? []
        : ["| | |\n|-|-|\n" + table.map((row) => `| ${row.map(cell).join(" | ")} |`).join("\n")])
    ].join("\n\n")
    const others = yield* Effect.forEach(below, (name) => sectionsOf([...path, name]))
    return path.length === 0 ? others.flat() : [{ path, text }, ...others.flat()]
  }).pipe(Effect.orDie)

/** Each command in turn. */
export const sections = sectionsOf([])

/** The page with its reference made anew. */
export const renewed = Effect.gen(function*() {
  const all = yield* sections
  const text = readFileSync(page, "utf8")
  const from = text.indexOf(begin) + begin.length
  return `${text.slice(0, from)}\n${all.map(({ text }) => `${text}\n\n`).join("")}${text.slice(text.indexOf(end))}`
})

if (import.meta.main) writeFileSync(page, await Effect.runPromise(renewed))
