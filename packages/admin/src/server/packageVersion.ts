/** The version of this package, as its package.json says. */
import { readFileSync } from "node:fs"

// One folder above src and above dist alike.
const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

export const packageVersion = manifest.version
