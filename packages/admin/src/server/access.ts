/**
 * Decides who asks and what they may: by the bearer token, compared in constant time; without any tokens set, whoever reaches it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createHash, timingSafeEqual } from "node:crypto"
import { hostname } from "node:os"
import { Access, Operator, ReadsOnly } from "../api/Access.ts"
import type { OperatorIdentity } from "../api/Access.ts"
import * as Errors from "../api/errors.ts"
import { ConsoleConfig } from "./ConsoleConfig.ts"
import { makeRateLimit } from "./RateLimit.ts"

const digest = (text: string) => createHash("sha256").update(text).digest()

/**
 * Answers in a second to wrong tokens, for all who try together. A right one is never refused for their sake, or whoever reaches the console
 * could lock out those who operate; so it is the length of the secrets that keeps guesses out.
 */
const wrongTokens = 5

/** Milliseconds between two warnings that tokens are being guessed. */
const betweenWarnings = 60_000

export const layerAccess = Layer.effect(
  Access,
  Effect.gen(function*() {
    const { rate, tokens, writes } = yield* ConsoleConfig
    const limit = makeRateLimit()
    const known = tokens.map(({ name, role, secret }) => ({ name, role, digest: digest(Redacted.value(secret)) }))
    const anybody: OperatorIdentity = { name: `the console at ${hostname()}`, role: "operate" }

    let warnedAt = Number.NEGATIVE_INFINITY
    const warn = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (now - warnedAt < betweenWarnings) return Effect.void
      warnedAt = now
      return Effect.logWarning(
        `wrong tokens are tried more than ${wrongTokens} times a second: somebody may be guessing`
      )
    })

    const identify = Effect.fnUntraced(function*(given: string) {
      if (known.length === 0) return anybody
      const shown = digest(given)
      const found = known.find((token) => timingSafeEqual(token.digest, shown))
      if (given !== "" && found !== undefined) return { name: found.name, role: found.role }
      // Without a token nothing is guessed, and a browser has to hear that it has to ask for one.
      const wait = given === "" ? 0 : yield* limit("wrong tokens", wrongTokens)
      if (wait > 0) {
        yield* warn
        return yield* new Errors.TooManyRequests({ message: "too many wrong tokens were tried", retryAfter: wait })
      }
      return yield* new Errors.Unauthorized({
        message: given === ""
          ? "a token is needed: Authorization: Bearer TOKEN"
          : "the token is not one of those that are set"
      })
    })

    return Access.of({
      token: Effect.fnUntraced(function*(respond, { credential, endpoint }) {
        const operator = yield* identify(Redacted.value(credential))
        const wait = yield* limit(`by ${operator.name}`, rate)
        if (wait > 0) {
          return yield* new Errors.TooManyRequests({
            message: `more than ${rate} requests a second: come again in ${wait} s`,
            retryAfter: wait
          })
        }
        if (endpoint.method !== "GET" && !Context.get(endpoint.annotations, ReadsOnly)) {
          if (!writes) {
            return yield* new Errors.WritesOff({
              message: "nothing may be changed here: CONSOLE_WRITES=true allows it"
            })
          }
          if (operator.role !== "operate") {
            return yield* new Errors.Forbidden({ message: `the token of ${operator.name} may only read` })
          }
        }
        return yield* Effect.provideService(respond, Operator, operator)
      })
    })
  })
)
