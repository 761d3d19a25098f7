/** What a receiver's answer means for the event. Pure. */
import { Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"
import type { PublishError } from "@zakops/events/EventPublisher"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"

export interface Answer {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly location: string | undefined
  /** The beginning of its body. */
  readonly text: string
}

/** No receiver puts an event off for longer. */
export const longestRetryAfter = Duration.days(1)

// The three forms of RFC 9110. `Date.parse` takes more than is a date of HTTP: "-5" is one of 2001 for it, and "1.5" too.
const httpDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? [\w :-]+$/
const zone = / GMT$/

/**
 * How long the header `Retry-After` asks to wait: seconds, or a date. Undefined where it is neither.
 *
 * @param now milliseconds since 1970
 */
export const retryAfterOf = (header: string | undefined, now: number): Duration.Duration | undefined => {
  const text = header?.trim() ?? ""
  const millis = /^\d+$/.test(text)
    ? Number(text) * 1000
    // The oldest form names no zone, and means GMT.
    : httpDate.test(text)
    ? Date.parse(zone.test(text) ? text : `${text} GMT`) - now
    : NaN
  return Number.isNaN(millis) ? undefined : Duration.min(longestRetryAfter, Duration.millis(Math.max(0, millis)))
}

const passing = new Set([408, 409, 425, 429])

/** Delivered by 2xx only; a redirect is not followed. */
export const heard = (destination: string, answer: Answer, now: number): Result.Result<void, PublishError> => {
  const { location, status, text } = answer
  if (status >= 200 && status < 300) return Result.void
  const said = text.trim() === "" ? "" : `: ${text.trim().slice(0, 200)}`
  const reason = status >= 300 && status < 400
    ? `${destination} redirects (${status}) to ${location ?? "nowhere"}, which is not followed`
    : `${destination} answers ${status}${said}`
  if (status >= 400 && status < 500 && !passing.has(status)) return Result.fail(new Permanent({ reason }))
  const retryAfter = retryAfterOf(answer.retryAfter, now)
  // Without a time, "unavailable" is of the service, not of this event.
  if (status === 503 && retryAfter === undefined) return Result.fail(new TransportDown({ reason }))
  return Result.fail(new Transient(retryAfter === undefined ? { reason } : { reason, retryAfter }))
}
