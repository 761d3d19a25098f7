/** What an operator does with the command besides dead letters and projections. */
import { assert, layer } from "@effect/vitest"
import { drawBar } from "@zakops/cli/progress"
import { age } from "@zakops/cli/table"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { onDatabase, printed, runHere } from "../support/commandLine.ts"
import { emptyTables, entries, eventually, loggedIds, untilReadable } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { start } from "../support/zakops.ts"

const insert = Effect.fnUntraced(function*(type: string, columns = "", values = "") {
  const sql = yield* SqlClient
  const id = randomUUID()
  yield* sql.unsafe(
    `INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data${columns}) VALUES ($1, $1, $2, '{"a": 12345678901234567890}'${values})`,
    [id, type]
  )
  return id
})

const logged = Effect.fnUntraced(function*(type: string, aggregateId: string) {
  const sql = yield* SqlClient
  const id = randomUUID()
  yield* sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, aggregate_type, aggregate_id, event_data, created_at)
    VALUES (${id}, ${id}, ${type}, 'deal', ${aggregateId}, '{"n": 12345678901234567890}', now())`
  return id
})

layer(TestDatabase.layer, { excludeTestServices: true })("zakops", (it) => {
  it.effect("worker --once delivers what is due, and ends", () =>
    Effect.gen(function*() {
      const id = yield* insert("a")
      const later = yield* insert("b", ", next_attempt_at", ", now() + interval '1 hour'")
      assert.strictEqual(
        yield* printed("worker", "--once"),
        "1 delivered, 0 failed and wait, 0 dead, 0 wait for a newer build\n"
      )
      assert.deepStrictEqual(yield* loggedIds, [id])
      assert.deepStrictEqual(
        (yield* entries).map(({ id, status }) => [id, status]),
        [[id, "delivered"], [later, "pending"]]
      )
      const again = JSON.parse(yield* printed("worker", "--once", "--json")) as Record<string, unknown>
      assert.deepInclude(again, { delivered: 0, dead: 0 })
      assert.deepInclude(again["maintenance"], { delivered: 0 })
      yield* emptyTables
    }))

  it.effect("status shows what waits, what is paused and who works, as tables and as JSON", () =>
    Effect.gen(function*() {
      yield* insert("a", ", created_at", ", now() - interval '5 minutes'")
      yield* insert("a", ", status, died_at, error_message", ", 'dead', now(), 'no room'")
      yield* printed("pause", "--type", "b", "--by", "ann")
      const text = yield* printed("status")
      assert.match(text, /^oldest due for 5m \d+s /)
      assert.match(text, /\npending +behind +held +processing +delivered +dead +discarded +blocked keys\n1 +0 +0 +0 /)
      assert.match(text, /\nno worker runs\n/)
      assert.match(text, /\npaused +name +since +by\ntype +b +\S+ +ann\n/)
      assert.match(text, /no room/)
      const status = JSON.parse(yield* printed("status", "--json")) as Record<string, unknown>
      assert.hasAllKeys(status, [
        "at",
        "oldestPendingAge",
        "counts",
        "blockedKeys",
        "deadByError",
        "deadSampled",
        "destinations",
        "workers",
        "paused"
      ])
      yield* emptyTables
    }))

  it.effect("pause and resume say what has changed, and who did it is on record", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* printed("pause", "--type", "deal.made", "--by", "ann"),
        "the type deal.made is paused until somebody resumes it\n"
      )
      assert.strictEqual(yield* printed("pause", "--type", "deal.made"), "the type deal.made was paused already\n")
      assert.strictEqual(
        yield* printed("resume", "--type", "deal.made", "--by", "ben"),
        "the type deal.made goes on\n"
      )
      assert.deepStrictEqual(JSON.parse(yield* printed("resume", "--destination", "nats", "--json")), {
        resumed: { destination: "nats" },
        changed: false
      })
      const audit = yield* printed("audit")
      assert.match(audit, /^at +by +action +count +what\n\S+ +ben +resume +1 +.*deal\.made.*\n\S+ +ann +pause +1 /)
      const page = JSON.parse(yield* printed("audit", "--by", "ann", "--limit", "1", "--json")) as {
        readonly items: ReadonlyArray<{ readonly id: string; readonly by: string }>
      }
      assert.deepStrictEqual(page.items.map(({ by }) => by), ["ann"])
      assert.match(page.items[0]?.id ?? "", /^\d+$/)
      yield* emptyTables
    }))

  it.effect("purge deletes what is older, and with --dry-run only says how much", () =>
    Effect.gen(function*() {
      const old = yield* insert("a", ", status, delivered_at", ", 'delivered', now() - interval '40 days'")
      const young = yield* insert("a", ", status, delivered_at", ", 'delivered', now()")
      assert.strictEqual(
        yield* printed("purge", "delivered", "--older-than", "30d", "--dry-run"),
        "1 delivered entries are meant; nothing was changed\n"
      )
      assert.includeMembers((yield* entries).map(({ id }) => id), [old, young])
      assert.deepStrictEqual(
        JSON.parse(yield* printed("purge", "delivered", "--older-than", "30d", "--by", "ann", "--json")),
        { kind: "delivered", deleted: 1 }
      )
      assert.deepStrictEqual((yield* entries).map(({ id }) => id), [young])
      assert.match(yield* printed("audit"), /ann +purge +1 /)
      yield* emptyTables
    }))

  it.effect("entry shows an entry with its neighbours and keeps large numbers; entry list finds it", () =>
    Effect.gen(function*() {
      const head = yield* insert("deal.made", ", ordering_key", ", 'k'")
      const id = yield* insert("deal.lost", ", ordering_key", ", 'k'")
      const text = yield* printed("entry", "show", id)
      assert.match(text, new RegExp(`^id +${id}\\n`))
      assert.include(text, "before it in its key:")
      assert.include(text, ": 12345678901234567890")
      assert.include(text, head)
      const detail = JSON.parse(yield* printed("entry", "show", id, "--json")) as {
        readonly data: string
        readonly entry: { readonly seq: unknown }
      }
      assert.include(detail.data, "12345678901234567890")
      assert.isString(detail.entry.seq)
      const list = yield* printed("entry", "list", "--type", "deal.lost")
      assert.include(list, id)
      assert.notInclude(list, head)
      assert.strictEqual(
        yield* printed("entry", "list", "--state", "dead"),
        "there are none of that kind here\n"
      )
      const missing = yield* onDatabase("entry", "show", randomUUID())
      assert.strictEqual(missing.code, 4)
      assert.match(missing.problem, /^zakops: there is no entry /)
      yield* emptyTables
    }))

  it.effect("tail prints events as they happen, and those before them where it is asked to", () =>
    Effect.gen(function*() {
      const first = yield* logged("deal.made", "7")
      const second = yield* logged("deal.lost", "7")
      yield* untilReadable
      const lines = (yield* printed("tail", "--last", "1", "--count", "1")).trimEnd().split("\n")
      assert.lengthOf(lines, 1)
      assert.match(
        lines[0] ?? "",
        new RegExp(`^\\S+Z  deal\\.lost v1  deal 7  ${second}  \\{"n": 12345678901234567890\\}$`)
      )
      const filtered = JSON.parse(
        yield* printed("tail", "--type", "deal.made", "--last", "5", "--count", "1", "--json")
      ) as {
        readonly id: string
        readonly position: unknown
      }
      assert.strictEqual(filtered.id, first)
      assert.isString(filtered.position)

      // From now on, and from a cursor on.
      const following = yield* Effect.forkChild(printed("tail", "--count", "2", "--json"))
      let written = 0
      yield* Effect.raceFirst(
        Effect.forever(Effect.andThen(
          Effect.suspend(() => logged("deal.made", String(written++))),
          Effect.sleep("100 millis")
        )),
        Fiber.await(following)
      )
      const events = (yield* Fiber.join(following)).trimEnd().split("\n").map((line) =>
        JSON.parse(line) as { readonly id: string; readonly cursor: string }
      )
      assert.lengthOf(events, 2)
      const [one] = events
      const next = JSON.parse(
        yield* printed("tail", "--after", one?.cursor ?? "", "--count", "1", "--json")
      ) as { readonly id: string }
      assert.strictEqual(next.id, events[1]?.id)
      yield* emptyTables
    }))

  it.effect("doctor prints each finding with its fix, ends with 1 where one is serious, or as bad as --fail-on says", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const well = yield* onDatabase("doctor")
      assert.strictEqual(well.code, 0, well.stdout)
      assert.match(well.stdout, /\nok +migrations +the tables in schema zakops are at version \d+\n/)
      assert.match(well.stdout, /: 0 serious, 0 warnings, \d+ notices, \d+ ok\n$/)
      yield* sql`DROP INDEX zakops.outbox_dead`
      const warned = yield* onDatabase("doctor", "--quiet")
      assert.strictEqual(warned.code, 0)
      assert.match(
        warned.stdout,
        /warning +indexes +the index outbox_dead is missing\n {10}.*\n {10}fix: CREATE INDEX CONCURRENTLY IF NOT EXISTS outbox_dead ON /
      )
      assert.notMatch(warned.stdout, /^ok /m)
      assert.strictEqual((yield* onDatabase("doctor", "--fail-on", "warning")).code, 1)
      yield* sql`ALTER TABLE zakops.agent_events DISABLE TRIGGER agent_events_append_only`
      const ill = yield* onDatabase("doctor", "--json")
      assert.strictEqual(ill.code, 1)
      const findings = JSON.parse(ill.stdout) as ReadonlyArray<{ readonly check: string; readonly severity: string }>
      assert.deepStrictEqual(
        findings.filter(({ severity }) => severity === "serious").map(({ check }) => check),
        ["triggers"]
      )
      yield* sql`ALTER TABLE zakops.agent_events ENABLE TRIGGER agent_events_append_only`
      const away = yield* runHere(["doctor"], { DATABASE_URL: "postgres://u:hunter2@127.0.0.1:1/d" })
      assert.strictEqual(away.code, 1)
      assert.match(away.stdout, /^serious +connection +the database cannot be reached\n/)
      assert.notInclude(away.stdout, "hunter2")
    }))

  it.effect("ends with a code that says of which kind a problem is", () =>
    Effect.gen(function*() {
      const url = yield* TestDatabase.DatabaseUrl
      const DATABASE_URL = url
      const away = "postgres://u:p@127.0.0.1:1/d"
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, Record<string, string>, number]> = [
        [["status", "--jsn"], { DATABASE_URL }, 2],
        [["no-such-command"], { DATABASE_URL }, 2],
        [["status"], {}, 2],
        [["pause"], { DATABASE_URL }, 2],
        [["dead", "redrive"], { DATABASE_URL }, 2],
        [["purge", "delivered", "--older-than", "soon"], { DATABASE_URL }, 2],
        [["status"], { DATABASE_URL: away }, 3],
        [["keys", "unblock", "k"], { DATABASE_URL }, 4],
        [["projections", "status", "none"], { DATABASE_URL }, 4],
        [["projections", "rebuild", "none"], { DATABASE_URL }, 1],
        [["status"], { DATABASE_URL, OUTBOX_SCHEMA: "elsewhere" }, 1],
        [["--help"], {}, 0],
        [["audit"], { DATABASE_URL }, 0]
      ]
      for (const [args, variables, code] of cases) {
        const ended = yield* runHere(args, variables)
        assert.strictEqual(ended.code, code, `${args.join(" ")}: ${ended.problem}`)
        if (code === 0) continue
        assert.strictEqual(ended.stdout, "")
        assert.match(ended.problem, /^zakops: [^\n]+\n?$/)
      }
    }))

  it.effect("status --watch looks again, until it is told to stop", () =>
    Effect.gen(function*() {
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      yield* Effect.scoped(Effect.gen(function*() {
        const { child, ended, output } = yield* start("status --watch --interval 0.2 --json", { DATABASE_URL })
        yield* eventually(Effect.sync(() => output.stdout.split("\n").length > 3))
        child.kill("SIGINT")
        assert.strictEqual(yield* ended, 0)
        assert.strictEqual(output.stderr, "")
        for (const line of output.stdout.trimEnd().split("\n")) assert.property(JSON.parse(line), "counts")
      }))
    }))

  it.effect("console serves the page and its API until it is told to stop, and lets nothing be changed unless told to", () =>
    Effect.gen(function*() {
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      yield* Effect.scoped(Effect.gen(function*() {
        const { child, ended, output } = yield* start("console --port 0", { DATABASE_URL })
        const address = () => /, read only: (http:\/\/127\.0\.0\.1:\d+\/)\n$/.exec(output.stdout)?.[1]
        yield* eventually(Effect.sync(() => address() !== undefined))
        const ask = (path: string, init?: RequestInit) =>
          Effect.promise(() => fetch(new URL(path, address()), init).then((answer) => answer.text()))
        assert.include(yield* ask(""), "<title>")
        assert.property(JSON.parse(yield* ask("api/overview")), "counts")
        const redrive = {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: `{ "selection": "all" }`
        }
        assert.include(yield* ask("api/dead/redrive", redrive), "WritesOff")
        child.kill("SIGTERM")
        assert.strictEqual(yield* ended, 0)
        assert.strictEqual(output.stderr, "")

        const open = yield* start("console --port 0 --writes", { DATABASE_URL })
        yield* eventually(Effect.sync(() => open.output.stdout.includes("http://")))
        assert.notInclude(open.output.stdout, "read only")
        const port = /:(\d+)\/\n/.exec(open.output.stdout)?.[1] ?? ""
        const answer = yield* Effect.promise(() =>
          fetch(`http://127.0.0.1:${port}/api/dead/redrive`, redrive).then((answer) => answer.json())
        )
        assert.deepStrictEqual(answer, { redriven: 0 })
        const taken = yield* onDatabase("console", "--port", port)
        assert.strictEqual(taken.code, 1)
        assert.match(taken.problem, /^zakops: cannot listen on 127\.0\.0\.1:\d+: /)
      }))
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, Record<string, string>, RegExp]> = [
        [["--host", "0.0.0.0"], {}, /^zakops: 0\.0\.0\.0 can be reached from other machines, and no token is set: /],
        [["--port", "70000"], {}, /^zakops: --port is 70000: allowed is 0 to 65535$/],
        [[], { CONSOLE_TOKENS: "ann" }, /^zakops: CONSOLE_TOKENS is "\(not shown\)": /]
      ]
      for (const [flags, variables, line] of cases) {
        const { code, problem } = yield* runHere(["console", ...flags], { DATABASE_URL, ...variables })
        assert.match(problem, line)
        assert.strictEqual(code, 2)
      }
      yield* emptyTables
    }))

  it("draws a bar, and tells time, in a few words", () => {
    assert.strictEqual(drawBar("deleting", 0, 0), `deleting [${".".repeat(30)}] 0 of 0`)
    assert.strictEqual(drawBar("deleting", 500, 1000), `deleting [${"#".repeat(15)}${".".repeat(15)}] 500 of 1,000`)
    assert.strictEqual(drawBar("deleting", 2000, 1000), `deleting [${"#".repeat(30)}] 2,000`)
    assert.deepStrictEqual([400, 59_000, 61_000, 3_700_000, 200_000_000].map(age), [
      "0.4s",
      "59s",
      "1m 1s",
      "1h 1m",
      "2d 7h"
    ])
  })
})
