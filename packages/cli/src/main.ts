#!/usr/bin/env node
/** The command `zakops`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { defaultTeardown } from "effect/Runtime"
import packageJson from "../package.json" with { type: "json" }
import { command as dead } from "./dead.ts"
import { command as keys } from "./keys.ts"
import { command as migrate } from "./migrate.ts"
import { command as projections } from "./projections.ts"
import { command as repairLog } from "./repairLog.ts"
import { command as rollout } from "./rollout.ts"
import { command as worker } from "./worker.ts"

const zakops = Command.make("zakops").pipe(
  Command.withDescription("ZakOps Outbox: a transactional outbox, inbox and event log on Postgres"),
  Command.withSubcommands([migrate, worker, dead, keys, projections, rollout, repairLog])
)

Command.run(zakops, { version: packageJson.version }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    // Being told to stop is no failure: a supervisor that sent SIGTERM expects 0.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : defaultTeardown(exit, onExit)
  })
)
