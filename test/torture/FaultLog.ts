/** Which faults happened, how often, and when: what may explain a second delivery. */

/** Every one has to happen in every run. */
export const faults = [
  "workers killed",
  "workers stopped for twice the lease",
  "workers told to stop",
  "sessions terminated",
  "listeners terminated",
  "immediate restarts of Postgres",
  "restarts of Postgres after kill -9",
  "connections reset",
  "connections in black holes",
  "calls refused",
  "calls that hung",
  "answers lost",
  "outages of the destination",
  "calls of the worker whose clock is off",
  "transactions left open",
  "calls of the duplicate processor",
  "transactions rolled back",
  "inserts refused as if the disk were full",
  "changes of tables",
  "fences that fired"
] as const

export type Fault = (typeof faults)[number]

/** In milliseconds. Without a process it concerned the database, and so everybody. */
export interface Window {
  readonly fault: Fault | "stood still"
  readonly from: number
  to: number
  readonly pid: number | undefined
}

export const makeFaultLog = () => {
  const counts = new Map<Fault, number>()
  const windows: Array<Window> = []
  const count = (fault: Fault, times = 1) => {
    counts.set(fault, (counts.get(fault) ?? 0) + times)
  }
  return {
    counts,
    windows,
    count,
    /** The machine's doing: explains what a fault would, and is none. */
    stoodStill: (pid: number, millis: number) => {
      const to = Date.now()
      windows.push({ fault: "stood still", from: to - millis, to, pid })
    },
    /** Counts it, and opens its window; what it gives closes it again. */
    begin: (fault: Fault, options: { readonly pid?: number; readonly times?: number } = {}) => {
      count(fault, options.times)
      const window: Window = { fault, from: Date.now(), to: Infinity, pid: options.pid }
      windows.push(window)
      return () => {
        window.to = Date.now()
      }
    }
  }
}

export type FaultLog = ReturnType<typeof makeFaultLog>
