/**
 * Whether this process is alive, and whether it is ready: for Kubernetes, systemd and load balancers.
 *
 * Alive is a process that answers. Ready is one that reaches the database, finds the tables migrated, and sees no entry that has been due
 * for longer than a limit. A database that is away makes a process unready and never dead: to start it again would not help.
 */
import { quietly } from "@zakops/events/Tracing"
import { requireMigrated } from "@zakops/migrations/Migrations"
import { SchemaName } from "@zakops/migrations/SchemaName"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { read, seconds } from "@zakops/outbox/connecting/readSetting"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { isSqlError } from "effect/sql/SqlError"
import { SqlClient } from "effect/sql/SqlClient"
import { DatabaseMetrics } from "./DatabaseMetrics.ts"

export interface Check {
  readonly name: "connected" | "migrated" | "lag"
  readonly ok: boolean
  /** For the operator; without secrets. */
  readonly detail: string
}

export interface Readiness {
  readonly ready: boolean
  readonly checks: ReadonlyArray<Check>
}

/** A probe waits a few seconds at most. */
const patience = Duration.seconds(2)

const failed = (name: Check["name"], detail: string): Readiness => ({
  ready: false,
  checks: [{ name, ok: false, detail }]
})

export class Health extends Context.Service<Health, {
  /** Asks the database, for 2 s at most. Never fails. */
  readonly ready: Effect.Effect<Readiness>
}>()("@zakops/telemetry/Health") {
  /** `OUTBOX_READY_LAG`: seconds for which an entry may have been due, 300 unless set. */
  static readonly layer = Layer.effect(
    Health,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const schema = yield* SchemaName
      const { latest } = yield* DatabaseMetrics
      const limit = Duration.toSeconds(yield* read(seconds("OUTBOX_READY_LAG", 300, 1, 31_536_000)))

      const lag = Effect.gen(function*(): Effect.fn.Return<Check> {
        const reading = yield* latest
        if (Option.isNone(reading)) return { name: "lag", ok: false, detail: "not read yet" }
        const { at, oldestPendingAge } = reading.value
        // What could not be read lately has gone on waiting.
        const age = oldestPendingAge === 0 ? 0 : oldestPendingAge + ((yield* Clock.currentTimeMillis) - at) / 1000
        const detail = age === 0
          ? "nothing is due"
          : `the oldest entry has been due for ${Math.round(age)} s, of ${limit} allowed`
        return { name: "lag", ok: age <= limit, detail }
      })

      const ready = requireMigrated.pipe(
        SqlErrors.lostAsFailure,
        Effect.timeoutOption(patience),
        Effect.flatMap((answer) =>
          Option.isNone(answer)
            ? Effect.succeed(failed("connected", `the database has not answered within ${Duration.format(patience)}`))
            : Effect.map(lag, (check): Readiness => ({
              ready: check.ok,
              checks: [
                { name: "connected", ok: true, detail: "the database answers" },
                { name: "migrated", ok: true, detail: "the tables are there" },
                check
              ]
            }))
        ),
        Effect.catch((error) =>
          Effect.succeed(
            isSqlError(error) ? failed("connected", SqlErrors.serverText(error)) : failed("migrated", error.message)
          )
        ),
        quietly,
        Effect.provideService(SqlClient, sql),
        Effect.provideService(SchemaName, schema)
      )
      return Health.of({ ready })
    })
  )

  /** `GET /livez`: 200 while the process answers. `GET /readyz`: 200 or 503, with the checks as JSON. */
  static readonly layerHttp = Layer.effectDiscard(Effect.gen(function*() {
    const router = yield* HttpRouter.HttpRouter
    const { ready } = yield* Health
    yield* router.add("GET", "/livez", HttpServerResponse.text("ok\n"))
    yield* router.add(
      "GET",
      "/readyz",
      Effect.map(ready, (readiness) =>
        HttpServerResponse.jsonUnsafe(readiness, {
          status: readiness.ready ? 200 : 503,
          headers: { "cache-control": "no-store" }
        }))
    )
  }))
}
