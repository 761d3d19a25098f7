/** What an answer of Redis, or none, means for an event. */
import type { PublishError } from "@zakops/events/EventPublisher"
import { Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"
import { ErrorReply } from "redis"

/** The message of an error with those behind it, each once. */
export const inWords = (cause: unknown): string => {
  const texts: Array<string> = []
  for (let error = cause; error !== undefined && texts.length < 5; error = (error as { cause?: unknown })?.cause) {
    const text = error instanceof Error ? error.message || error.name : String(error)
    if (!texts.some((known) => known.includes(text))) texts.push(text)
  }
  return texts.join(": ")
}

// The first word of an answer that speaks of this command; all others speak of the server, the stream, or us.
const aboutThisEvent = /^(?:ERR|NOSCRIPT|EXECABORT)\b/

/** What adding a message has failed of. */
export const classify = (cause: unknown): PublishError => {
  // No answer, or a connection that broke: the message may have been stored.
  if (!(cause instanceof ErrorReply)) {
    return new TransportDown({ reason: `Redis did not acknowledge: ${inWords(cause)}` })
  }
  const reason = `Redis refuses: ${cause.message}`
  // The server closes the connection over it, so those behind it fail as well, but are not to blame.
  if (/Protocol error|invalid bulk length/.test(cause.message)) return new Permanent({ reason })
  if (aboutThisEvent.test(cause.message)) return new Transient({ reason })
  // LOADING, READONLY, OOM, MISCONF, NOREPLICAS, MASTERDOWN, CLUSTERDOWN, NOAUTH: nothing is taken at the moment.
  // NOPERM, WRONGTYPE: who may not add one event to the stream may add none, and what is no stream takes none.
  return new TransportDown({ reason })
}
