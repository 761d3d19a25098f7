/**
 * What the workspace depends on, directly or not, has a permissive licence; one that nobody has looked at stops the build. Run by .ci/run.
 *
 * `pnpm licenses list` reads the licences from what is installed.
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"

const root = join(import.meta.dirname, "..", "..")

/** Permissive: to be kept in copies, and no more is asked. */
const permissive = new Set([
  "MIT",
  "MIT-0",
  "ISC",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Apache-2.0",
  "0BSD",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "Unlicense",
  "PostgreSQL"
])

/** Others that were looked at. */
const reviewed: ReadonlyArray<RegExp> = [
  // MPL-2.0, of vite, which vitest runs on: used unchanged by the tests, and part of nothing that is published.
  /^lightningcss(-[a-z0-9-]+)?$/,
  // OFL-1.1, of the console's fonts: to be passed on with software freely, with their licence, which the built console carries.
  /^@fontsource-variable\/(inter|jetbrains-mono)$/
]

interface Listed {
  readonly name: string
  readonly versions: ReadonlyArray<string>
}

const output = execFileSync("pnpm", ["licenses", "list", "--json"], {
  cwd: root,
  encoding: "utf8",
  maxBuffer: 64 * 1024 * 1024
})
const byLicence = JSON.parse(output) as Readonly<Record<string, ReadonlyArray<Listed>>>

/** "(MIT OR GPL-2.0)" is permissive, "MIT AND GPL-2.0" is not. */
const isPermissive = (licence: string) =>
  licence.replaceAll(/[()]/g, "").split(" OR ").some((choice) =>
    choice.split(" AND ").every((one) => permissive.has(one.trim()))
  )

const wrong = Object.entries(byLicence)
  .filter(([licence]) => !isPermissive(licence))
  .flatMap(([licence, packages]) => packages.map(({ name, versions }) => ({ licence, name, versions })))
  .filter(({ name }) => !reviewed.some((pattern) => pattern.test(name)))

for (const { licence, name, versions } of wrong) {
  process.stderr.write(`${name} ${versions.join(", ")} has the licence ${licence}, which is not on the list\n`)
}
if (wrong.length > 0) process.exitCode = 1
else {
  const count = Object.values(byLicence).reduce((sum, packages) => sum + packages.length, 0)
  process.stdout.write(
    `${count} packages under licences that were agreed to: ${Object.keys(byLicence).toSorted().join(", ")}\n`
  )
}
