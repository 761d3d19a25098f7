/** The settings of the console: from variables, refused by name, and never shown where they hold secrets. */
import { assert, describe, it } from "@effect/vitest"
import { ConsoleConfig, defaults } from "@zakops/admin/server/ConsoleConfig"
import { isNamed } from "@zakops/admin/server/Masking"
import { mask, rewrite } from "@zakops/admin/server/LosslessJson"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

const read = (variables: Readonly<Record<string, string>>) =>
  ConsoleConfig.pipe(
    Effect.provide(ConsoleConfig.layer, { local: true }),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: variables }))
  )

describe("the console's settings", () => {
  it.effect("have their defaults, also where a variable is empty", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read({}), defaults)
      const empty = Object.fromEntries(
        ["PATH", "TOKENS", "HOSTS", "MASK", "TRACE_URL"].map((name) => [`CONSOLE_${name}`, ""])
      )
      assert.deepStrictEqual(yield* read(empty), defaults)
    }))

  it.effect("are read from the variables", () =>
    Effect.gen(function*() {
      const settings = yield* read({
        CONSOLE_HOST: "0.0.0.0",
        CONSOLE_PORT: "0",
        CONSOLE_PATH: "/ops/outbox",
        CONSOLE_TOKENS: "ann:operate:secret:with:colons!!,bob@example.com:read:0123456789abcdef",
        CONSOLE_WRITES: "true",
        CONSOLE_HOSTS: "a.example.com, b.example.com:8443",
        CONSOLE_MASK: "email,data.x",
        CONSOLE_TRACE_URL: "https://traces/{traceId}"
      })
      assert.deepInclude(settings, {
        host: "0.0.0.0",
        port: 0,
        basePath: "/ops/outbox",
        writes: true,
        hosts: ["a.example.com", "b.example.com:8443"],
        mask: ["email", "data.x"]
      })
      assert.deepStrictEqual(
        settings.tokens.map(({ name, role, secret }) => [name, role, Redacted.value(secret)]),
        [["ann", "operate", "secret:with:colons!!"], ["bob@example.com", "read", "0123456789abcdef"]]
      )
      assert.notInclude(JSON.stringify(settings), "0123456789abcdef")
      assert.strictEqual((yield* read({ CONSOLE_HOSTS: "*" })).hosts, "any")
    }))

  it.effect("are refused by the variable's name, and a token is not repeated", () =>
    Effect.gen(function*() {
      const wrong: Readonly<Record<string, ReadonlyArray<string>>> = {
        CONSOLE_PORT: ["65536", "x"],
        CONSOLE_PATH: ["ops", "/ops/", "/../x", "//x"],
        CONSOLE_TOKENS: ["ann:operate:tooshort", "ann:admin:0123456789abcdef", "0123456789abcdef"],
        CONSOLE_WRITES: ["maybe"],
        CONSOLE_HOSTS: ["https://a.example.com"],
        CONSOLE_RATE: ["0"],
        CONSOLE_TRACE_URL: ["https://traces/", "javascript:{traceId}"]
      }
      for (const [variable, values] of Object.entries(wrong)) {
        for (const value of values) {
          const error = yield* Effect.flip(read({ [variable]: value }))
          assert.strictEqual(error.variable, variable, value)
          if (variable === "CONSOLE_TOKENS") assert.notInclude(error.message, value)
        }
      }
    }))
})

describe("masking", () => {
  it("knows fields by name anywhere, by path, and with a gap", () => {
    const masked = isNamed(["Email", "data.card.number", "headers.*.x"])
    assert.isTrue(masked(["data", "a", "b", "EMAIL"]))
    assert.isTrue(masked(["data", "card", "Number"]))
    assert.isTrue(masked(["headers", "a", "x"]))
    for (const path of [["data", "number"], ["data", "card", "number", "x"], ["headers", "x"], ["data", "emails"]]) {
      assert.isFalse(masked(path), path.join("."))
    }
  })

  it.effect.prop(
    "leaves JSON as it is where nothing is masked, and no value where all is",
    { json: Schema.fromJsonString(Schema.Json) },
    ({ json }) =>
      Effect.sync(() => {
        const text = JSON.stringify(json)
        assert.deepStrictEqual(rewrite(text, () => false), { text, masked: false })
        const all = rewrite(text, () => true)
        JSON.parse(all.text)
        if (typeof json === "object" && json !== null && !Array.isArray(json)) {
          assert.isTrue(Object.values(JSON.parse(all.text) as object).every((value) => value === "[masked]"))
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it("masks all of what is no JSON, and of what is too deep to follow", () => {
    for (const text of ["", "{", `{"a" 1}`, "nope", `{"a": 1} x`, `{"a": 01e}`.slice(0, 7), `"${"x"}`]) {
      assert.deepStrictEqual(rewrite(text, () => false), { text: mask, masked: true }, text)
    }
    const deep = "[".repeat(200_000) + "]".repeat(200_000)
    assert.deepStrictEqual(rewrite(deep, () => false), { text: mask, masked: true })
  })

  it("keeps numbers and spaces to the last character", () => {
    const text = `{"a": 12345678901234567890.10, "b": [1.0, {"c":  -0e10}], "s": "\\u0041\\"x"}`
    assert.deepStrictEqual(rewrite(text, (path) => path.join(".") === "b.c"), {
      text: `{"a": 12345678901234567890.10, "b": [1.0, {"c":  "[masked]"}], "s": "\\u0041\\"x"}`,
      masked: true
    })
  })
})
