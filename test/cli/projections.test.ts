/** `zakops projections` and `zakops repair-log`, as an operator runs them beside the process that runs the projection. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import { listParked } from "@zakops/event-store/parkedEvents"
import { run as runProjection } from "@zakops/event-store/runProjection"
import * as Database from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Counter } from "../support/counter.ts"
import { printed } from "../support/commandLine.ts"
import { eventually, services } from "../support/outbox.ts"
import { stderr } from "../support/stderr.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { foldOfLog, makeTotalsTable, rowsOf, totals, totalsIn } from "../support/totals.ts"
import { run } from "../support/commandLine.ts"

const Live = EventStore.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(Layer.effectDiscard(makeTotalsTable("totals"))),
  Layer.provideMerge(TestDatabase.layer)
)

const quick = { pollInterval: "20 millis" } as const

const zakops = (command: string) =>
  Effect.flatMap(TestDatabase.DatabaseUrl, (DATABASE_URL) => run(command, { DATABASE_URL }))

/** What it prints as JSON, which must have gone well. */
const json = <A>(command: string) =>
  Effect.flatMap(
    zakops(`${command} --json`),
    ({ code, stderr, stdout }) =>
      code === 0 ? Effect.succeed(JSON.parse(stdout) as A) : Effect.die(new Error(`${command}: ${code}: ${stderr}`))
  )

interface Page {
  readonly items: ReadonlyArray<{ readonly eventId: string }>
  readonly next: string | null
}

const idsIn = (text: string) => text.match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g)

layer(Live, { excludeTestServices: true })("zakops projections", (it) => {
  it.effect("lists, shows, rebuilds and waits for it", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute } = yield* EventStore
      assert.match((yield* zakops("projections list")).stdout, /^name +version +status/)
      yield* execute(Counter, randomUUID(), { add: 1, times: 20 })
      yield* Effect.forkScoped(runProjection(totals, quick))
      yield* eventually(Effect.map(zakops("projections list --json"), ({ stdout }) => {
        const [state] = JSON.parse(stdout) as ReadonlyArray<
          { readonly status: string; readonly position: string; readonly newest: string }
        >
        return state?.status === "live" && state.position === state.newest
      }))
      const { stdout } = yield* zakops("projections list")
      assert.match(stdout, /\ntotals +1 +live +100% +20 of 20 +0 +\S+:\d+\n$/)

      yield* sql`UPDATE totals SET total = -1`
      const rebuilt = yield* zakops("projections rebuild totals --wait --by ann")
      assert.strictEqual(rebuilt.code, 0, rebuilt.stderr)
      assert.match(rebuilt.stdout, /live, 100% of the log read\n$/)
      assert.deepStrictEqual(yield* rowsOf("totals"), yield* foldOfLog)
      assert.match((yield* zakops("audit")).stdout, /ann +rebuild +1 /)
      assert.deepStrictEqual(yield* json("projections rebuild totals --wait"), {
        rebuild: "totals",
        version: 1,
        live: true
      })
      assert.deepStrictEqual(yield* json("projections switch totals --version 1"), { switch: "totals", version: 1 })
    })))

  it.effect("draws on a terminal how far a rebuild is, and that nobody runs it", () =>
    Effect.scoped(Effect.gen(function*() {
      const { execute } = yield* EventStore
      const bars = { ...totalsIn("totals", 1), name: "bars" }
      yield* execute(Counter, randomUUID(), { add: 1 })
      const first = yield* Effect.forkChild(runProjection(bars, quick))
      yield* eventually(Effect.map(zakops("projections list"), ({ stdout }) => /\nbars +1 +live +100%/.test(stdout)))
      yield* Fiber.interrupt(first)
      const { written } = yield* stderr(true)
      const rebuilding = yield* Effect.forkChild(printed("projections", "rebuild", "bars", "--wait"))
      const drawn = (text: string) => eventually(Effect.sync(() => written.some((line) => line.includes(text))))
      yield* drawn(`\rnobody runs bars version 1 [${".".repeat(30)}] 0 of `)
      yield* Effect.forkScoped(runProjection(bars, quick))
      assert.match(
        yield* Fiber.join(rebuilding),
        /^version 1 of bars will be emptied .*\nbars version 1: live, 100% of the log read\n$/
      )
      assert.strictEqual(written.at(-1), "\r\u001b[K")
    })))

  it.effect("ends with a word where the version goes away meanwhile", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`INSERT INTO zakops.projections (name, version, status, can_reset, created_at) VALUES ('fleeting', 1, 'live', true, now())`
      const rebuilding = yield* Effect.forkChild(zakops("projections rebuild fleeting --wait --json"))
      const asked = sql`SELECT FROM zakops.projections WHERE name = 'fleeting' AND reset_requested`
      yield* eventually(Effect.map(asked, (rows) => rows.length === 1))
      yield* sql`DELETE FROM zakops.projections WHERE name = 'fleeting'`
      const { code, stderr, stdout } = yield* Fiber.join(rebuilding)
      assert.deepStrictEqual([code, stdout], [4, ""])
      assert.strictEqual(stderr, "zakops: version 1 of fleeting is there no longer\n")
    }))

  it.effect("shows parked events, and has them retried or discarded", () =>
    Effect.scoped(Effect.gen(function*() {
      const db = yield* Database.make
      const { execute } = yield* EventStore
      const parking = {
        ...totalsIn("totals", 2, { onFailure: "park" }),
        name: "parking",
        handle: () => Effect.die(new Error("this one\nis refused"))
      }
      yield* Effect.forkScoped(runProjection(parking, { ...quick, from: "now" }))
      yield* eventually(Effect.map(zakops("projections list --json"), ({ stdout }) => stdout.includes("parking")))
      for (let n = 0; n < 22; n++) yield* execute(Counter, randomUUID(), { add: 1 })
      const parked = listParked(db, "projection parking v2")
      yield* eventually(Effect.map(parked, (rows) => rows.length === 22))
      const [event, ...others] = (yield* parked).map(({ eventId }) => eventId)
      const shown = (yield* zakops("projections status parking")).stdout
      assert.include(shown, event ?? "no id")
      assert.include(shown, "this one is refused")
      const [, after] = /those after them: zakops (projections parked parking --version 2 --after \S+)\n/.exec(shown) ??
        []
      assert.deepStrictEqual(idsIn((yield* zakops(after ?? "status")).stdout), others.slice(-2))
      const pages: Array<string> = []
      for (let next: string | null = ""; next !== null;) {
        const page: Page = yield* json<Page>(
          `projections parked parking --limit 8${next === "" ? "" : ` --after ${next}`}`
        )
        pages.push(...page.items.map(({ eventId }) => eventId))
        next = page.next
      }
      assert.deepStrictEqual(pages, [event, ...others])
      assert.match((yield* zakops("projections retry parking --all")).stdout, /^22 parked events will be tried again/)
      yield* eventually(Effect.map(parked, (again) => again.every(({ attempts }) => attempts === 2)))
      assert.match(
        (yield* zakops(`projections discard parking --id ${event} --by ann`)).stdout,
        /^1 parked events are discarded/
      )
      assert.deepStrictEqual(yield* json(`projections retry parking --id ${others[0]}`), { retried: 1 })
      assert.deepStrictEqual(yield* json("projections discard parking --all"), { discarded: 21 })
      assert.strictEqual((yield* zakops("projections parked parking")).stdout, "it has parked nothing\n")
      const audit = (yield* zakops("audit")).stdout
      assert.match(audit, /ann +discard parked +1 /)
      assert.match(audit, /\S+@\S+ +retry parked +22 /)
    })))

  it.effect("tells mistakes in one line", () =>
    Effect.gen(function*() {
      for (
        const [command, line, expected] of [
          ["projections rebuild nothing", /^zakops: projection nothing: there is none of that name/, 1],
          ["projections status nothing", /^zakops: there is no projection nothing/, 4],
          [
            "projections switch totals --version 9",
            /^zakops: projection totals: there is no version 9: there are 1/,
            1
          ],
          ["projections retry totals", /^zakops: say which parked events/, 2],
          ["projections discard totals --id 7", /^zakops: --id is "7", which is no UUID/, 2],
          [`projections retry totals --id ${randomUUID()}`, /^zakops: none of the events that --id names is parked/, 4],
          ["projections parked totals --after 7", /^zakops: after is "7", which no page of this list has given/, 2]
        ] as const
      ) {
        const { code, stderr } = yield* zakops(command)
        assert.strictEqual(code, expected, command)
        assert.match(stderr, line)
        assert.lengthOf(stderr.trim().split("\n"), 1)
      }
    }))
})

layer(Live, { excludeTestServices: true })("zakops repair-log", (it) => {
  it.effect("repairs a restored log, which the worker refuses before", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute } = yield* EventStore
      yield* execute(Counter, randomUUID(), { add: 1, times: 3 })
      assert.match((yield* zakops("repair-log")).stdout, /nothing to repair\n$/)
      const restore = Effect.gen(function*() {
        yield* sql`ALTER TABLE zakops.agent_events DISABLE TRIGGER agent_events_append_only`
        yield* sql`UPDATE zakops.agent_events SET xid = '9000000000'`
        yield* sql`ALTER TABLE zakops.agent_events ENABLE TRIGGER agent_events_append_only`
      })
      yield* restore
      const refused = yield* zakops("worker")
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stderr, /^zakops: the event log in schema zakops .* run "zakops repair-log"\n$/)
      const repaired = yield* zakops("repair-log --by ann")
      assert.match(repaired.stdout, /^3 events of the log in .* have their place again/)
      assert.strictEqual(repaired.code, 0)
      yield* restore
      assert.deepStrictEqual(yield* json("repair-log --by ben"), { repaired: 3 })
      assert.deepStrictEqual(yield* json("repair-log"), { repaired: 0 })
      assert.deepStrictEqual(yield* sql`SELECT by, action, count::int AS count FROM zakops.audit ORDER BY id`, [
        { by: "ann", action: "repair log", count: 3 },
        { by: "ben", action: "repair log", count: 3 }
      ])
    }))
})
