/** A node of RabbitMQ by itself: beside others on the machine, and with all that it stores in one folder. */
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { env, freePort, temporaryFolder } from "./machine.ts"

/** Past the wrapper in the PATH, which starts it as another user. */
export const rabbitCommand = "/usr/lib/rabbitmq/bin/rabbitmq-server"

/** The same for what asks a node, with the variables of the node. */
export const rabbitControl = "/usr/lib/rabbitmq/bin/rabbitmqctl"

/**
 * Lays out the folder of a node `name`, which goes with the scope, for `rabbitCommand` to be started in it with these variables. It listens on
 * the port.
 *
 * @param settings further lines of its configuration
 */
export const rabbitNode = Effect.fnUntraced(function*(name: string, settings: ReadonlyArray<string> = []) {
  const folder = yield* temporaryFolder(`${name}-rabbitmq`)
  const [port, distribution, epmd] = yield* Effect.promise(() => Promise.all([freePort(), freePort(), freePort()]))
  const [configuration, plugins] = [join(folder, "rabbitmq.conf"), join(folder, "enabled_plugins")]
  yield* Effect.promise(() =>
    Promise.all([
      writeFile(
        configuration,
        [`listeners.tcp.1 = 127.0.0.1:${port}`, ...settings].map((line) => `${line}\n`).join("")
      ),
      writeFile(plugins, "[].\n")
    ])
  )
  const variables = {
    HOME: folder,
    // A port mapper of its own, which stays behind unless it is told to end.
    ERL_EPMD_PORT: String(epmd),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `${name}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_CONFIG_FILE: configuration,
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins
  }
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      const kill = () =>
        spawnSync("epmd", ["-port", String(epmd), "-kill"], { env: { ...env, ...variables }, encoding: "utf8" })
      // It refuses for as long as it has not noticed that its node is gone.
      for (let tries = 0; tries < 100 && /not allowed/.test(kill().stdout); tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })
  )
  return { folder, port, variables }
})
