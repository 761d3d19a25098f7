/**
 * Whether a notification arrives through the path that workers listen on: DIRECT_URL, or else the database's own address.
 *
 * A pooler in transaction mode takes LISTEN and never delivers, without an error. So the doctor calls itself and waits for the call.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { connectionSettings } from "@zakops/outbox/connecting/ConnectionSettings"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import type { Check, Patient } from "./Check.ts"
import { finding, ok } from "./Check.ts"

const name = "listening"

const direct = "DIRECT_URL=postgres://user:password@host:5432/database"

/** True where the call was heard within 3 seconds. */
const hearsItself = Effect.fnUntraced(function*({ client, db: { schema } }: Patient, url: object) {
  const channel = `${schema}_doctor`
  const call = randomUUID()
  const connectionScope = yield* Scope.make()
  const attempt = Effect.gen(function*() {
    const connection = yield* Scope.provide(
      PgConnection.make({ ...client.config, ...url, applicationName: "zakops doctor" }),
      connectionScope
    )
    const notifications = yield* connection.listen(channel)
    yield* client`SELECT pg_notify(${channel}, ${call})`
    const heard = Effect.gen(function*() {
      while (true) {
        const payloads = yield* Queue.takeAll(notifications)
        if (payloads.some(({ payload }) => payload === call)) return true
      }
    })
    return Option.isSome(yield* Effect.timeoutOption(heard, "3 seconds"))
  })
  // The connection is closed before the listening on it is: a deaf one would be told to stop, and wait for the answer for ever.
  return yield* Effect.ensuring(attempt, Scope.close(connectionScope, Exit.void))
}, Effect.scoped)

export const listening: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*(patient) {
    const read = yield* Effect.option(connectionSettings)
    // The check of the settings tells what is wrong with them.
    if (Option.isNone(read)) return []
    const { directUrl, pooler } = read.value
    if (pooler === "transaction" && Option.isNone(directUrl)) {
      return [finding(
        name,
        "warning",
        "nobody listens for new entries",
        "OUTBOX_POOLER is transaction and DIRECT_URL is not set: what other processes commit is found by polling (OUTBOX_POLL_INTERVAL)",
        `Give listeners a way past the pooler: ${direct}`
      )]
    }
    const heard = yield* Effect.result(
      hearsItself(patient, Option.isSome(directUrl) ? { url: directUrl.value } : {})
    )
    if (heard._tag === "Failure") {
      return [finding(
        name,
        "warning",
        Option.isSome(directUrl) ? "DIRECT_URL cannot be reached" : "a listener cannot connect",
        `${SqlErrors.serverText(heard.failure)}: what other processes commit is found by polling`,
        Option.isSome(directUrl)
          ? `Correct DIRECT_URL: it is the database past the pooler`
          : "Look into the server's log"
      )]
    }
    if (heard.success) return ok(name, "notifications arrive", Option.isSome(directUrl) ? "through DIRECT_URL" : "")
    return [finding(
      name,
      "warning",
      "LISTEN hears nothing",
      Option.isSome(directUrl)
        ? "DIRECT_URL is a pooler as well, or another database"
        : "there is a pooler in transaction mode in between; without OUTBOX_POOLER statements may fail there too",
      Option.isSome(directUrl)
        ? `Let it name the server that DATABASE_URL leads to: ${direct}`
        : `Set OUTBOX_POOLER=transaction and ${direct}`
    )]
  })
}
