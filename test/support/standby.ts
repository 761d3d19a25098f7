/** A standby of the database's server that streams from it, with `hot_standby_feedback`: from a base backup that is made here. */
import { install } from "@zakops/deal-desk/EmbeddedPostgres"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { execFileSync } from "node:child_process"
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** As `cp` keeps who owns them: the servers may run as another user. */
const copy = (from: string, to: string) => {
  for (const name of readdirSync(to)) rmSync(join(to, name), { recursive: true, force: true })
  for (const name of readdirSync(from)) {
    if (name !== "postmaster.pid") execFileSync("cp", ["-a", join(from, name), to])
  }
}

/**
 * Runs as long as the scope is open; gives its URL, of the same superuser. `name` is what the primary calls it.
 *
 * @param url of the primary, as a superuser
 */
export const startStandby = Effect.fnUntraced(function*(url: string, name: string) {
  const sql = yield* SqlClient
  // Of which a standby needs as much.
  const least = yield* sql<{ name: string; setting: string }>`
    SELECT name, setting FROM pg_settings WHERE name IN ('max_connections', 'max_prepared_transactions', 'max_worker_processes')`
  const primary = new URL(url)
  const standby = yield* install({
    fsync: "off",
    hot_standby_feedback: "on",
    wal_receiver_status_interval: "1s",
    primary_conninfo: `host=${primary.hostname} port=${primary.port} user=${primary.username} ` +
      `password=${primary.password} application_name=${name}`,
    ...Object.fromEntries(least.map(({ name, setting }) => [name, setting]))
  })
  // A backup is begun and ended by one connection.
  yield* Effect.scoped(Effect.gen(function*() {
    const own = yield* sql.reserve
    const ask = (statement: string) => own.executeUnprepared(statement, [], undefined)
    const [{ data_directory: data }] = (yield* ask("SHOW data_directory")) as [{ data_directory: string }]
    yield* ask("SELECT pg_backup_start('standby', true)::text")
    yield* Effect.sync(() => copy(data, standby.data))
    const [{ labelfile }] = (yield* ask("SELECT labelfile FROM pg_backup_stop(false)")) as [{ labelfile: string }]
    const { gid, uid } = statSync(standby.data)
    for (const [file, content] of [["backup_label", labelfile], ["standby.signal", ""]] as const) {
      writeFileSync(join(standby.data, file), content)
      execFileSync("chown", [`${uid}:${gid}`, join(standby.data, file)])
    }
  }))
  yield* Effect.acquireRelease(standby.start, standby.stop)
  const own = new URL(standby.url)
  own.password = primary.password
  return own.toString()
})
