/**
 * Real brokers for the tests: a server of a test's own on a free port of the loopback, that can be killed, started again and held still.
 *
 * Where one is not installed its tests are skipped with a word; with REQUIRE_BROKERS set that is a failure.
 */
import { isInstalled } from "@zakops/bench/brokers/machine"

export { freePort, isListening, temporaryFolder } from "@zakops/bench/brokers/machine"
export type { Server } from "@zakops/bench/brokers/startServer"
export { startServer } from "@zakops/bench/brokers/startServer"

export const required = (process.env["REQUIRE_BROKERS"] ?? "") !== ""

/** True where the tests that need `command` are to be skipped; says so once. Where brokers are required they run, and fail. */
export const isMissing = (command: string): boolean => {
  if (isInstalled(command)) return false
  if (required) return false
  process.stdout.write(`${command} is not installed: its tests are skipped (REQUIRE_BROKERS=1 makes that a failure)\n`)
  return true
}
