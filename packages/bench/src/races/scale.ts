/** What becomes of all that when there is much: entries, dead versions of them, workers. */
import type { Race } from "../Measurement.ts"
import { cycleRaces } from "./scale/cycle.ts"
import { processRaces } from "./scale/processes.ts"
import { undisturbedRaces } from "./scale/undisturbed.ts"

export const scaleRaces: ReadonlyArray<Race> = [...cycleRaces, ...undisturbedRaces, ...processRaces]
