/** The variables of a project: what `.env` in the folder sets counts where the process has no value of its own. */
import { existsSync } from "node:fs"
import { exitCodes } from "./exitCodes.ts"
import { harmless } from "./table.ts"

/** Reads them before anything else asks for one. A file that is there and cannot be read ends the process in one line. */
export const readDotEnv = (path = ".env"): void => {
  if (!existsSync(path)) return
  try {
    process.loadEnvFile(path)
  } catch (error) {
    process.stderr.write(`zakops: cannot read ${path}: ${harmless(String((error as Error).message))}\n`)
    process.exit(exitCodes.usage)
  }
}
