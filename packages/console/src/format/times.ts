/** Times and durations for eyes. Durations are milliseconds. */

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** The two largest units: "850 ms", "4.2 s", "3 min 12 s", "5 h 2 min", "12 d 4 h". */
export const duration = (millis: number): string => {
  const length = Math.max(0, millis)
  if (length < second) return `${Math.round(length)} ms`
  if (length < 10 * second) return `${(length / second).toFixed(1)} s`
  if (length < minute) return `${Math.floor(length / second)} s`
  if (length < hour) return two(length, minute, "min", second, "s")
  if (length < day) return two(length, hour, "h", minute, "min")
  return two(length, day, "d", hour, "h")
}

const two = (length: number, large: number, largeName: string, small: number, smallName: string) => {
  const rest = Math.floor((length % large) / small)
  return `${Math.floor(length / large)} ${largeName}${rest === 0 ? "" : ` ${rest} ${smallName}`}`
}

/** One unit only, where there is little room: "4 s", "3 min", "5 h", "12 d". */
export const brief = (millis: number): string => {
  const length = Math.max(0, millis)
  if (length < minute) return `${Math.floor(length / second)} s`
  if (length < hour) return `${Math.floor(length / minute)} min`
  if (length < day) return `${Math.floor(length / hour)} h`
  return `${Math.floor(length / day)} d`
}

/** How far a time is from now: "in 12 s", "3 min ago", "now" within a second. */
export const relative = (at: Date, now: number): string => {
  const distance = at.getTime() - now
  if (Math.abs(distance) < second) return "now"
  return distance > 0 ? `in ${brief(distance)}` : `${brief(-distance)} ago`
}

const pad = (value: number, length = 2) => String(value).padStart(length, "0")

/** The reader's own time, to the millisecond where it is asked for: "2026-11-25 14:03:09". */
export const exact = (at: Date, millis = false): string =>
  `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock(at)}` +
  (millis ? `.${pad(at.getMilliseconds(), 3)}` : "")

/** "14:03:09" */
export const clock = (at: Date): string => `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`
