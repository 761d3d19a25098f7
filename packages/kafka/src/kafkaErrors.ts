/** What an answer of Kafka, or none, means for an event. */
import { findErrorBy } from "@platformatic/kafka"
import type { PublishError } from "@zakops/events/EventPublisher"
import { Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"

/** The message of an error with those that it holds or that are behind it, each once. */
export const inWords = (cause: unknown): string => {
  const texts: Array<string> = []
  const tell = (error: unknown) => {
    if (error === undefined || texts.length >= 4) return
    const { apiId, message } = error as { readonly apiId?: string; readonly message?: string }
    const text = apiId ?? message ?? String(error)
    if (!texts.some((known) => known.includes(text))) texts.push(text)
    if (error instanceof AggregateError) { for (const inner of error.errors) tell(inner) }
    tell((error as { readonly cause?: unknown }).cause)
  }
  tell(cause)
  return texts.join(": ")
}

const says = (cause: unknown, ids: ReadonlyArray<string>) =>
  cause instanceof Error && ids.some((id) => findErrorBy(cause, "apiId", id) !== null)

const tooLarge = ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]
const unusable = ["INVALID_RECORD", "INVALID_TIMESTAMP"]
const aboutTopic = [
  "UNKNOWN_TOPIC_OR_PARTITION",
  "UNKNOWN_TOPIC_ID",
  "INVALID_TOPIC_EXCEPTION",
  "TOPIC_AUTHORIZATION_FAILED",
  "POLICY_VIOLATION"
]

// The client says only this of a topic that the cluster does not know.
const saysTopic = (cause: unknown) => says(cause, aboutTopic) || inWords(cause).includes("Unknown topic ")

/**
 * Whether one of the messages that were sent together may be to blame, so that the others are worth sending without it.
 *
 * @param oneTopic whether all events go to one topic: what is wrong with that is no single message's fault
 */
export const isAboutMessages = (cause: unknown, oneTopic: boolean): boolean =>
  says(cause, [...tooLarge, ...unusable]) || (!oneTopic && saysTopic(cause))

/**
 * What sending one message has failed of.
 *
 * @param oneTopic whether all events go to one topic: what is wrong with that holds all of them up
 */
export const classify = (cause: unknown, oneTopic: boolean): PublishError => {
  const reason = inWords(cause)
  if (says(cause, [...tooLarge, ...unusable])) return new Permanent({ reason: `Kafka refuses the message: ${reason}` })
  if (!oneTopic && saysTopic(cause)) return new Transient({ reason: `Kafka refuses the topic: ${reason}` })
  // No answer, no leader, not enough replicas, not let in: the message may have been stored.
  return new TransportDown({ reason: `Kafka did not acknowledge: ${reason}` })
}
