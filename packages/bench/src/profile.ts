/** A profile of the processor time of what is measured, and of nothing before and after it: for `--profile`. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { mkdir, writeFile } from "node:fs/promises"
import { Session } from "node:inspector/promises"
import { join } from "node:path"

/** The folder that profiles are written to, if any. */
export const ProfileFolder = Context.Reference<string | undefined>("@zakops/bench/ProfileFolder", {
  defaultValue: () => undefined
})

let written = 0

const stop = async (session: Session, folder: string) => {
  const { profile } = await session.post("Profiler.stop")
  session.disconnect()
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `${String(++written).padStart(3, "0")}.cpuprofile`), JSON.stringify(profile))
}

/** Runs `self`; where a folder is given, a .cpuprofile of it is there afterwards, numbered in the order of the runs. */
export const profiled = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(ProfileFolder, (folder) =>
    folder === undefined ? self : Effect.acquireUseRelease(
      Effect.promise(async () => {
        const session = new Session()
        session.connect()
        await session.post("Profiler.enable")
        await session.post("Profiler.start")
        return session
      }),
      () => self,
      (session) => Effect.promise(() => stop(session, folder))
    ))
