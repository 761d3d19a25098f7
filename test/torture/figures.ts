/** What a run measures, each with the limit that it has to hold. */

export interface Figure {
  readonly name: string
  /** In `unit`. */
  readonly value: number
  readonly unit: "ms" | "MiB"
  /** At most so much; undefined where it is only printed. */
  readonly limit: number | undefined
}

export const inWords = ({ limit, name, unit, value }: Figure): string =>
  `${name}: ${Math.round(value)} ${unit}${limit === undefined ? "" : ` (at most ${limit} ${unit})`}`

export const isHeld = ({ limit, value }: Figure): boolean => limit === undefined || value <= limit

const median = (numbers: ReadonlyArray<number>) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0

/** A run of so many seconds shows whether memory stays flat; in a shorter one it rises until the garbage is collected. */
const longEnough = 1800

/**
 * Resident memory at the beginning and at the end of the longest life: the second and the last tenth of the samples. In a run of half an
 * hour it may have risen by a quarter.
 */
export const memoryFigures = (bytes: ReadonlyArray<number>, seconds: number): ReadonlyArray<Figure> => {
  const part = Math.max(1, Math.floor(bytes.length / 10))
  const mib = (numbers: ReadonlyArray<number>) => median(numbers) / 1_048_576
  // What a process loads and fills at first is no leak.
  const first = mib(bytes.slice(part, 2 * part))
  return [
    {
      name: "resident memory of a worker at first",
      value: first,
      unit: "MiB",
      limit: undefined
    },
    {
      name: "resident memory of a worker at last",
      value: mib(bytes.slice(-part)),
      unit: "MiB",
      limit: seconds >= longEnough ? Math.round(first * 1.25) : undefined
    }
  ]
}
