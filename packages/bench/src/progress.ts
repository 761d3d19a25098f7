/** Shows on stderr how far the bench is: one line that is written over on a terminal, lines elsewhere. */
export interface Progress {
  /** Something has begun that takes a while. */
  readonly now: (what: string) => void
  /** One run has ended. */
  readonly done: (what: string) => void
  readonly end: () => void
}

const width = 24

const time = (seconds: number) => seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`

/** @param total how many runs there are */
export const makeProgress = (total: number): Progress => {
  const began = performance.now()
  const terminal = process.stderr.isTTY
  let count = 0
  const bar = () => {
    const filled = Math.round(count / total * width)
    return `[${"=".repeat(filled)}${" ".repeat(width - filled)}] ${count}/${total}`
  }
  const left = () =>
    count < 2 ? "" : `, about ${time((performance.now() - began) / 1000 / count * (total - count))} left`
  const over = (line: string) => process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns ?? 120) - 1)}`)
  return {
    now: (what) => {
      if (terminal) over(`${bar()}${left()}: ${what}`)
    },
    done: (what) => {
      count++
      if (terminal) over(`${bar()}${left()}: ${what}`)
      else process.stderr.write(`${count}/${total} ${what}${left()}\n`)
    },
    end: () => {
      if (terminal) over("")
    }
  }
}
