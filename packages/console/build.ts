/**
 * Builds the console into packages/admin/dist/console when it is missing there, or was built from other sources than those that lie here now.
 * Run by `pnpm build`, and by the demo and the tests before they serve it: `node packages/console/build.ts`, or `buildConsole()`.
 *
 * Built aside and then moved into place, so that two who build at once do not serve each other's half.
 */
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { promisify } from "node:util"

const home = import.meta.dirname
const admin = join(home, "..", "admin")

/** Where the built console is. */
export const consoleFolder = join(admin, "dist", "console")

/** Says of which sources it was built. */
const stampOf = (folder: string) => join(folder, "sources.sha256")

/** What ends up in the built files; each brings its licence along, and has a line in the NOTICE of @zakops/admin. */
const bundled = [
  "effect",
  "react",
  "react-dom",
  "uplot",
  "@fontsource-variable/inter",
  "@fontsource-variable/jetbrains-mono"
]

const fingerprint = () => {
  const hash = createHash("sha256")
  const files = [
    ...globSync(["index.html", "vite.config.ts", "build.ts", "package.json", "src/**/*"], {
      cwd: home,
      withFileTypes: true
    }),
    ...globSync(["src/Api.ts", "src/api/**/*"], { cwd: admin, withFileTypes: true })
  ]
  const names = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name)).toSorted()
  for (const name of names) {
    hash.update(name.slice(dirname(home).length)).update("\0").update(readFileSync(name)).update("\0")
  }
  return hash.digest("hex")
}

const isBuiltFrom = (sources: string) =>
  existsSync(stampOf(consoleFolder)) && readFileSync(stampOf(consoleFolder), "utf8") === sources

const licences = () =>
  bundled.map((name) => {
    const folder = join(home, "node_modules", name)
    const { license, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`
  }).join(`\n${"-".repeat(80)}\n\n`)

const build = async (sources: string) => {
  mkdirSync(join(admin, "dist"), { recursive: true })
  const aside = mkdtempSync(join(admin, "dist", ".console-"))
  try {
    const vite = await import("vite")
    await vite.build({ configFile: join(home, "vite.config.ts"), build: { outDir: join(aside, "console") } })
    writeFileSync(join(aside, "console", "licences.txt"), licences())
    writeFileSync(stampOf(join(aside, "console")), sources)
    if (isBuiltFrom(sources)) return
    if (existsSync(consoleFolder)) renameSync(consoleFolder, join(aside, "before"))
    renameSync(join(aside, "console"), consoleFolder)
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

/** Whether it is there, built from the sources as they are. */
export const isConsoleBuilt = (): boolean => isBuiltFrom(fingerprint())

/** Gives the folder. Takes some seconds where it has to build, and milliseconds where not. */
export const buildConsole = async (): Promise<string> => {
  if (isConsoleBuilt()) return consoleFolder
  // In a process of its own, whose environment says production: in that of a test React would be the one for development.
  await promisify(execFile)(process.execPath, [import.meta.filename], {
    env: { ...process.env, NODE_ENV: "production" }
  })
  return consoleFolder
}

if (import.meta.main) {
  process.env["NODE_ENV"] = "production"
  const sources = fingerprint()
  if (!isBuiltFrom(sources)) await build(sources)
  process.stdout.write(`the console is built: ${consoleFolder}\n`)
}
