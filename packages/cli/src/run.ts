/** Runs the command `zakops`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import packageJson from "../package.json" with { type: "json" }
import { readDotEnv } from "./dotEnv.ts"
import { exitCodeOf } from "./exitCodes.ts"
import { layerPresenter } from "./presenter.ts"
import { zakops } from "./zakops.ts"

// Whoever reads our output may have seen enough: `zakops tail | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0)
  throw error
})

// Demo and bench fill what database they are given: one that only lies about in a file is not given.
if (!["demo", "bench"].includes(process.argv[2] ?? "")) readDotEnv()
Command.run(zakops, { version: packageJson.version }).pipe(
  Effect.provide(Layer.merge(NodeServices.layer, layerPresenter)),
  NodeRuntime.runMain({ teardown: (exit, onExit) => onExit(exitCodeOf(exit)) })
)
