/** `zakops worker --port`: metrics and health of a worker in a process of its own. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { otlpReceiver } from "../support/otlpReceiver.ts"
import { eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { run, start } from "../support/zakops.ts"

layer(TestDatabase.layer, { excludeTestServices: true })("zakops worker --port", (it) => {
  it.effect(
    "serves metrics and health on loopback, sends OTLP, and writes its log as JSON",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const url = yield* TestDatabase.DatabaseUrl
        const receiver = yield* otlpReceiver
        const { child, ended, output } = yield* start("worker --port 0", {
          DATABASE_URL: url,
          OUTBOX_LOG_FORMAT: "json",
          OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url
        })
        const lines = () =>
          output.stdout.split("\n").filter((line) => line !== "").map((line) =>
            JSON.parse(line) as { message: unknown }
          )
        const address = () => /http:\/\/127\.0\.0\.1:\d+/.exec(output.stdout)?.[0]
        yield* eventually(
          Effect.sync(() => address() !== undefined && output.stdout.includes("delivering from the outbox"))
        )
        const get = (path: string) =>
          Effect.promise(async () => {
            const response = await fetch(`${address() ?? ""}${path}`)
            return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
          })
        assert.deepInclude(yield* get("/livez"), { status: 200, text: "ok\n" })
        yield* eventually(Effect.map(get("/readyz"), ({ status }) => status === 200))
        const { text, type } = yield* get("/metrics")
        assert.include(type, "text/plain; version=0.0.4")
        assert.match(text, /^zakops_outbox_entries\{state="pending"\} 0$/m)
        assert.match(text, /^zakops_database_up 1$/m)
        yield* eventually(Effect.map(get("/metrics"), ({ text }) => /^zakops_listener_connected\{.*\} 1$/m.test(text)))
        child.kill("SIGTERM")
        assert.strictEqual(yield* ended, 0)
        assert.isAtLeast(lines().length, 2)
        assert.include(receiver.received.map(({ path }) => path), "/v1/metrics")
        assert.strictEqual(output.stderr, "")
      })),
    60_000
  )

  it.effect("says in one line that the port is taken", () =>
    Effect.gen(function*() {
      const url = yield* TestDatabase.DatabaseUrl
      const { url: taken } = yield* otlpReceiver
      const { code, stderr } = yield* run(`worker --port ${new URL(taken).port}`, { DATABASE_URL: url })
      assert.strictEqual(code, 1)
      assert.match(stderr, /^zakops: cannot listen on 127\.0\.0\.1:\d+: listen EADDRINUSE[^\n]*\n$/)
    }), 60_000)
})
