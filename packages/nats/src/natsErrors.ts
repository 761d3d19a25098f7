/** What an answer of NATS, or none, means for an event. */
import { JetStreamApiError } from "@nats-io/jetstream"
import { InvalidArgumentError, InvalidSubjectError, PermissionViolationError } from "@nats-io/nats-core"
import type { PublishError } from "@zakops/events/EventPublisher"
import { Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"

/** The message of an error with those behind it, each once. */
export const inWords = (cause: unknown): string => {
  const texts: Array<string> = []
  for (let error = cause; error !== undefined && texts.length < 5; error = (error as { cause?: unknown })?.cause) {
    const text = error instanceof Error ? error.message || error.name : String(error)
    if (!texts.some((known) => known.includes(text))) texts.push(text)
  }
  return texts.join(": ")
}

/** Finds an error of a class in a chain of causes: the client wraps what a request has failed of. */
const find = <E extends Error>(cause: unknown, kind: abstract new(...args: Array<never>) => E): E | undefined => {
  for (let error = cause; error instanceof Error; error = error.cause) if (error instanceof kind) return error
  return undefined
}

// Codes of the server's errors.json.
const messageTooLarge = 10054
const storeFailed = 10077
const otherStream = 10060

/** An error of the API as its code tells: of this one event, or of the stream as a whole. */
const ofApi = (error: JetStreamApiError): PublishError => {
  const reason = `NATS refuses: ${error.message} (${error.code})`
  if (error.code === messageTooLarge) return new Permanent({ reason })
  // Its subject belongs to another stream, or has as many messages as it may have: that is about this event.
  if (error.code === otherStream || /per subject/.test(error.message)) return new Transient({ reason })
  // A stream that is full takes nothing, and so it is when the server has no room, no leader or no JetStream.
  if (error.code === storeFailed || error.status >= 500) return new TransportDown({ reason })
  return new Transient({ reason })
}

/** Whether nobody has taken the message: JetStream is not there, or no stream has its subject. */
export const isUntaken = (cause: unknown): boolean =>
  // The client does not export the class.
  cause instanceof Error && (cause.name === "JetStreamNotEnabled" || isUntaken(cause.cause))

/** What publishing has failed of, where somebody could have taken the message. */
export const classify = (cause: unknown): PublishError => {
  const api = find(cause, JetStreamApiError)
  if (api !== undefined) return ofApi(api)
  if (find(cause, InvalidArgumentError) !== undefined || find(cause, InvalidSubjectError) !== undefined) {
    return new Permanent({ reason: `NATS cannot take the message: ${inWords(cause)}` })
  }
  const forbidden = find(cause, PermissionViolationError)
  if (forbidden !== undefined) return new Transient({ reason: `NATS forbids: ${forbidden.message}` })
  // No answer in time, or a connection that broke: the message may have been stored, and has its id against a second time.
  return new TransportDown({ reason: `NATS did not acknowledge: ${inWords(cause)}` })
}
