/** Whether the triggers that keep log and history as they are, and let entries begin as they have to, are there and switched on. */
import { migrations } from "@zakops/migrations/Migrations"
import type { Tables } from "@zakops/migrations/SchemaName"
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk } from "./Check.ts"

const name = "triggers"

const expectedTriggers = (names: Tables) =>
  migrations.flatMap((migration) => migration.statements(names)).flatMap((statement) => {
    const [, trigger, table] = /^CREATE OR REPLACE TRIGGER (\w+) .*?\bON (\S+)/s.exec(statement) ?? []
    return trigger === undefined || table === undefined
      ? []
      : [{ trigger, table, statement: statement.replaceAll(/\s+/g, " ").trim() }]
  })

export const triggers: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { sql }, names }) {
    const there = yield* sql<{ trigger: string; on: boolean }>`
      SELECT t.tgname AS trigger, t.tgenabled IN ('O', 'A') AS on FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      WHERE c.relnamespace = to_regnamespace(${names.schema}) AND NOT t.tgisinternal`
    const found = expectedTriggers(names).flatMap(({ statement, table, trigger }) => {
      const one = there.find((one) => one.trigger === trigger)
      if (one?.on === true) return []
      return [finding(
        name,
        "serious",
        `the trigger ${trigger} is ${one === undefined ? "missing" : "switched off"}`,
        trigger === "outbox_begin_entry"
          ? "a row of plain SQL may stand where no worker meets it, or be too large to be delivered"
          : "what was written can be changed",
        one === undefined ? statement : `ALTER TABLE ${table} ENABLE TRIGGER ${trigger}`
      )]
    })
    return orOk(found, name, "log and history are append-only")
  })
}
