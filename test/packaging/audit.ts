/**
 * Known vulnerabilities of the dependencies, as the registry knows them: `pnpm audit`. Run by .ci/run. Fails from severity high up.
 *
 * Where the registry has no audit endpoint, or is not reached, it says so and leaves it at that: a mirror must not stop the build.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

const root = join(import.meta.dirname, "..", "..")
const { status, stderr, stdout } = spawnSync("pnpm", ["audit", "--audit-level", "high"], {
  cwd: root,
  encoding: "utf8",
  timeout: 120_000
})
const output = `${stdout}${stderr}`

/** That nobody was asked, in pnpm's words, and in those of the network. */
const notAsked = new RegExp([
  "ERR_PNPM_AUDIT_(BAD_RESPONSE|ENDPOINT_NOT_EXISTS)|ERR_PNPM_META_FETCH_FAIL",
  "E(NOTFOUND|CONNREFUSED|CONNRESET|TIMEDOUT|HOSTUNREACH|NETUNREACH)|EAI_AGAIN|ERR_SOCKET_TIMEOUT|UND_ERR_[A-Z_]+|fetch failed"
].join("|"))

/** How pnpm ends a list of findings, whose titles may say anything. */
const found = /\d+ vulnerabilities found/

if (status === 0) process.stdout.write("no known vulnerabilities of severity high or above\n")
else if (status === null || (notAsked.test(output) && !found.test(output))) {
  const reason = /responded with \d+/.exec(output)?.[0] ?? notAsked.exec(output)?.[0] ?? "no answer within two minutes"
  process.stdout.write(`SKIPPED: dependencies were not audited, as the registry gives no answer (${reason})\n`)
} else {
  process.stdout.write(output)
  process.exitCode = 1
}
