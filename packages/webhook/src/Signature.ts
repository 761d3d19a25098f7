/**
 * Signatures of Standard Webhooks 1.0 (standardwebhooks.com), scheme `v1`: HMAC-SHA256 over id, timestamp and body.
 *
 * Whoever sends signs with each of its secrets, and whoever receives tries each of its own, so that a secret is changed without a gap: add
 * the new one at the receiver, then at the sender, then take the old one away in the same order. Headers other than these three are not signed.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { KeyObject } from "node:crypto"
import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto"

/** The names of the headers, in lower case. */
export const idHeader = "webhook-id"
export const timestampHeader = "webhook-timestamp"
export const signatureHeader = "webhook-signature"

/** At least one, each as `whsec_` and 24 to 64 bytes in base64; the prefix may be missing. */
export type Secrets = readonly [Redacted.Redacted<string>, ...ReadonlyArray<Redacted.Redacted<string>>]

/** A secret is not in the form of Standard Webhooks. `position` is its number in the list, from 1. It is not repeated here. */
export class InvalidSecret extends Schema.TaggedError<InvalidSecret>()("InvalidSecret", {
  position: Schema.Int,
  problem: Schema.String
}) {
  override get message() {
    return `webhook secret ${this.position} ${this.problem}: a secret is whsec_ and 24 to 64 bytes in base64`
  }
}

/** The message was not signed with one of our secrets, or too long ago. Nothing of it can be relied on. */
export class NotAuthentic extends Schema.TaggedError<NotAuthentic>()("NotAuthentic", { problem: Schema.String }) {
  override get message() {
    return `the webhook is not authentic: ${this.problem}`
  }
}

/** Secrets that were checked, ready to sign with. (An HMAC with the bytes makes a key of them first: 18 against 3.5 microseconds.) */
export type Keys = Redacted.Redacted<readonly [KeyObject, ...ReadonlyArray<KeyObject>]>

const base64 = /^[A-Za-z0-9+/]*={0,2}$/

const keyOf = (secret: Redacted.Redacted<string>, index: number): Result.Result<KeyObject, InvalidSecret> => {
  const refuse = (problem: string) => Result.fail(new InvalidSecret({ position: index + 1, problem }))
  const text = Redacted.value(secret).replace(/^whsec_/, "")
  if (!base64.test(text)) return refuse("is not base64")
  const key = Buffer.from(text, "base64")
  return key.length < 24 || key.length > 64 ? refuse(`has ${key.length} bytes`) : Result.succeed(createSecretKey(key))
}

/** Checks the secrets and decodes them. */
export const keysOf = (secrets: Secrets): Result.Result<Keys, InvalidSecret> =>
  Result.map(Result.all(secrets.map(keyOf)), (keys) => Redacted.make(keys as never))

const signWith = (key: KeyObject, id: string, timestamp: string, body: Uint8Array | string) =>
  createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")

/**
 * The three headers of a message, with one signature for each key.
 *
 * @param timestamp when the message is sent, in seconds since 1970
 */
export const sign = (
  keys: Keys,
  message: { readonly id: string; readonly timestamp: number; readonly body: Uint8Array | string }
): Readonly<Record<string, string>> => {
  const { body, id } = message
  const timestamp = String(message.timestamp)
  return {
    [idHeader]: id,
    [timestampHeader]: timestamp,
    [signatureHeader]: Redacted.value(keys).map((key) => `v1,${signWith(key, id, timestamp, body)}`).join(" ")
  }
}

/** How far the sender's clock may be from ours, and how long a message may have been on its way, unless another limit is given. */
export const defaultTolerance = Duration.minutes(5)

/**
 * Fails unless one of the signatures was made with one of the keys, for this body, within the tolerance of now. Gives the message's id.
 *
 * @param headers names in lower case
 * @param body    as it was received: JSON that was parsed and written again has another signature
 */
export const verify = Effect.fnUntraced(function*(
  keys: Keys,
  headers: Readonly<Record<string, string | undefined>>,
  body: Uint8Array | string,
  tolerance: Duration.Duration = defaultTolerance
) {
  const refuse = (problem: string) => Effect.fail(new NotAuthentic({ problem }))
  const { [idHeader]: id, [signatureHeader]: signatures, [timestampHeader]: timestamp } = headers
  if (!id) return yield* refuse(`it has no header ${idHeader}`)
  if (!signatures) return yield* refuse(`it has no header ${signatureHeader}`)
  if (timestamp === undefined || !/^\d{1,12}$/.test(timestamp)) {
    return yield* refuse(`its header ${timestampHeader} is no time in seconds`)
  }
  const age = (yield* Clock.currentTimeMillis) - Number(timestamp) * 1000
  if (Math.abs(age) > Duration.toMillis(tolerance)) {
    return yield* refuse(`its timestamp is more than ${Duration.format(tolerance)} from now`)
  }
  const given = signatures.split(" ").flatMap((signature) =>
    signature.startsWith("v1,") ? [Buffer.from(signature.slice(3))] : []
  )
  const holds = Redacted.value(keys).some((key) => {
    const expected = Buffer.from(signWith(key, id, timestamp, body))
    return given.some((signature) => signature.length === expected.length && timingSafeEqual(signature, expected))
  })
  return holds ? id : yield* refuse("no signature was made with one of our secrets")
})
