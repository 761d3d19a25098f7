/** Signatures as Standard Webhooks 1.0 says, checked against its own example. */
import { assert, describe, it } from "@effect/vitest"
import * as Signature from "@zakops/webhook/Signature"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"

const keysOf = (...secrets: ReadonlyArray<string>) =>
  Result.getOrThrow(Signature.keysOf(secrets.map((secret) => Redacted.make(secret)) as never))

// The example that the specification's reference implementations share.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
const example = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1614265330, body: "{\"test\": 2432232314}" }
const expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

const other = `whsec_${Buffer.alloc(32, 7).toString("base64")}`
const at = (seconds: number) => TestClock.setTime(seconds * 1000)

describe("Signature", () => {
  it("signs the specification's example as it says", () => {
    assert.deepStrictEqual(Signature.sign(keysOf(secret), example), {
      "webhook-id": example.id,
      "webhook-timestamp": "1614265330",
      "webhook-signature": expected
    })
    assert.strictEqual(Signature.sign(keysOf(secret.slice(6)), example)["webhook-signature"], expected)
  })

  it.effect("verifies the example within five minutes before and after, and not beyond", () =>
    Effect.gen(function*() {
      const headers = Signature.sign(keysOf(secret), example)
      for (const [away, holds] of [[-301, false], [-300, true], [0, true], [300, true], [301, false]] as const) {
        yield* at(example.timestamp + away)
        const result = yield* Effect.result(Signature.verify(keysOf(secret), headers, example.body))
        assert.strictEqual(Result.isSuccess(result), holds, `${away} s`)
      }
      assert.strictEqual(
        yield* Signature.verify(keysOf(secret), headers, example.body, Duration.minutes(6)),
        example.id
      )
    }))

  it.effect("holds while either side has the old secret beside the new one", () =>
    Effect.gen(function*() {
      yield* at(example.timestamp)
      const both = Signature.sign(keysOf(secret, other), example)
      assert.lengthOf(both["webhook-signature"]!.split(" "), 2)
      yield* Signature.verify(keysOf(secret), both, example.body)
      yield* Signature.verify(keysOf(other), both, example.body)
      yield* Signature.verify(keysOf(other, secret), Signature.sign(keysOf(secret), example), example.body)
      const refused = yield* Effect.flip(
        Signature.verify(keysOf(other), Signature.sign(keysOf(secret), example), example.body)
      )
      assert.instanceOf(refused, Signature.NotAuthentic)
    }))

  it.effect("refuses a message of which anything was changed or is missing", () =>
    Effect.gen(function*() {
      yield* at(example.timestamp)
      const headers = Signature.sign(keysOf(secret), example)
      const changed: ReadonlyArray<readonly [Record<string, string | undefined>, string]> = [
        [headers, "{\"test\":2432232314}"],
        [{ ...headers, "webhook-id": "another" }, example.body],
        [{ ...headers, "webhook-timestamp": "1614265331" }, example.body],
        [{ ...headers, "webhook-timestamp": "1614265330.5" }, example.body],
        [{ ...headers, "webhook-signature": expected.replace("v1,", "v1a,") }, example.body],
        [{ ...headers, "webhook-signature": "v1,\u0000" }, example.body],
        [{ ...headers, "webhook-id": undefined }, example.body],
        [{ ...headers, "webhook-timestamp": undefined }, example.body],
        [{ ...headers, "webhook-signature": undefined }, example.body]
      ]
      for (const [given, body] of changed) {
        assert.instanceOf(yield* Effect.flip(Signature.verify(keysOf(secret), given, body)), Signature.NotAuthentic)
      }
    }))

  it.effect.prop(
    "what is signed verifies, whatever the id and the body",
    { id: Schema.String.check(Schema.isMinLength(1)), body: Schema.String, late: Schema.Int },
    Effect.fnUntraced(function*({ body, id, late }) {
      yield* at(1000)
      const headers = Signature.sign(keysOf(secret), { id, timestamp: 1000 + late % 300, body })
      assert.strictEqual(yield* Signature.verify(keysOf(secret), headers, Buffer.from(body)), id)
      assert.instanceOf(
        yield* Effect.flip(Signature.verify(keysOf(secret), headers, `${body} `)),
        Signature.NotAuthentic
      )
    })
  )

  it("refuses a secret in another form, and does not repeat it", () => {
    for (const bad of ["whsec_short", "whsec_%%%%", `whsec_${Buffer.alloc(65).toString("base64")}`, ""]) {
      const refused = Signature.keysOf([Redacted.make(secret), Redacted.make(bad)])
      const { message, position } = Result.getOrThrow(Result.flip(refused))
      assert.strictEqual(position, 2)
      if (bad !== "") assert.notInclude(message, bad.slice(6))
    }
  })
})
