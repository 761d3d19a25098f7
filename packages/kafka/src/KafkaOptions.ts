/** Where in Kafka the events are: the cluster and the topic. Publisher and source of one topic take the same. */
import type { Options as CloudEventOptions } from "@zakops/events/CloudEvent"
import type { ConnectionOptions, SASLOptions } from "@platformatic/kafka"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"

export interface KafkaOptions extends CloudEventOptions {
  /** Brokers to begin with, as `host:port`; they name the others. */
  readonly brokers: ReadonlyArray<string>
  /** TLS as Node takes it; an empty object for the usual one. Without it the connection is not encrypted. */
  readonly tls?: ConnectionOptions["tls"] | undefined
  /** How to authenticate. The password may be redacted. */
  readonly sasl?:
    | Omit<SASLOptions, "password"> & {
      readonly password?: SASLOptions["password"] | Redacted.Redacted<string>
    }
    | undefined
  /** What the brokers see us as. `zakops-outbox` unless given. */
  readonly clientId?: string | undefined
  /**
   * How long a broker has to answer, and a connection to come about: 10 s unless given. For a publisher it is all the time that opening has, and
   * each request, with their tries.
   */
  readonly timeout?: Duration.Input | undefined
}

/** What both clients are made with. */
export const clientOptions = ({ brokers, clientId = "zakops-outbox", sasl, timeout, tls }: KafkaOptions) => {
  const millis = Duration.toMillis(timeout ?? "10 seconds")
  const password = sasl?.password
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    timeout: millis,
    connectTimeout: millis,
    requestTimeout: millis,
    ...tls === undefined ? {} : { tls },
    ...sasl === undefined
      ? {}
      : { sasl: { ...sasl, ...password === undefined ? {} : { password: plain(password) } } as SASLOptions }
  }
}

const plain = <A>(password: A | Redacted.Redacted<string>): A | string =>
  Redacted.isRedacted(password) ? Redacted.value(password) as string : password
