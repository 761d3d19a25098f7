/** Where in Redis the events are: the server and the stream. Publisher and source of one stream take the same. */
import type { Options as CloudEventOptions } from "@zakops/events/CloudEvent"
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type { RedisClientOptions } from "redis"

export interface RedisOptions extends CloudEventOptions {
  /** `redis://` or `rediss://`, with user name and password if there are any: `rediss://user:password@host:6379/0`. */
  readonly url: Redacted.Redacted<string>
  /** The stream's key. Made when the first event comes. */
  readonly stream: string
  /** More for the client: TLS, a socket's path. Its own reconnecting is switched off: lost connections are replaced here. */
  readonly client?: Omit<RedisClientOptions, "RESP" | "disableOfflineQueue" | "url"> | undefined
  /** How long the server may say nothing while it owes an answer: 10 s unless given. Also how long a connection may take to come about. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Which old messages Redis may drop when new ones come. It drops whole blocks of them, so that some more are kept than asked for, and does
 * not look whether anybody has read them: keep more than the slowest reader is ever behind.
 */
export type Trim =
  | "never"
  /** So many messages are kept. */
  | { readonly maxLength: number }
  /** Messages are kept for so long, by the server's clock. */
  | { readonly maxAge: Duration.Input }
