/** The command `zakops` with all of its subcommands, as main.ts runs it and the documentation is held against. */
import * as Command from "effect/cli/Command"
import { command as audit } from "./audit.ts"
import { command as console } from "./console.ts"
import { command as consumers } from "./consumers.ts"
import { command as dead } from "./dead.ts"
import { command as doctor } from "./doctor.ts"
import { bench, demo } from "./elsewhere.ts"
import { command as entry } from "./entry.ts"
import { pause, resume } from "./flow.ts"
import { command as init } from "./init.ts"
import { command as keys } from "./keys.ts"
import { command as migrate } from "./migrate.ts"
import { command as projections } from "./projections.ts"
import { command as purge } from "./purge.ts"
import { command as repairLog } from "./repairLog.ts"
import { command as rollout } from "./rollout.ts"
import { command as roles } from "./roles.ts"
import { command as status } from "./status.ts"
import { command as tail } from "./tail.ts"
import { command as worker } from "./worker.ts"

export const zakops = Command.make("zakops").pipe(
  Command.withDescription("ZakOps Outbox: a transactional outbox, inbox and event log on Postgres"),
  Command.withSubcommands([
    init,
    migrate,
    worker,
    status,
    tail,
    entry,
    dead,
    keys,
    pause,
    resume,
    purge,
    consumers,
    projections,
    audit,
    doctor,
    console,
    rollout,
    roles,
    repairLog,
    demo,
    bench
  ])
)
