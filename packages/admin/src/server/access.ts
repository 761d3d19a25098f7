/**
 * Decides who asks and what they may: by the bearer token, compared in constant time; without any tokens set, whoever reaches it.
 */
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

/** Attempts in a second with wrong tokens, of all who try together: a right token never waits for them. */
const wrongTokens = 5

export const layerAccess = Layer.effect(
  Access,
  Effect.gen(function*() {
    const { rate, tokens, writes } = yield* ConsoleConfig
    const limit = makeRateLimit()
    const known = tokens.map(({ name, role, secret }) => ({ name, role, digest: digest(Redacted.value(secret)) }))
    const anybody: OperatorIdentity = { name: `the console at ${hostname()}`, role: "operate" }

    const identify = Effect.fnUntraced(function*(given: string) {
      if (known.length === 0) return anybody
      const shown = digest(given)
      const found = known.find((token) => timingSafeEqual(token.digest, shown))
      if (given !== "" && found !== undefined) return { name: found.name, role: found.role }
      const wait = given === "" ? 0 : yield* limit("wrong tokens", wrongTokens)
      if (wait > 0) {
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
