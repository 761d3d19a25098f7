/** Emitting: a business row and an event in one transaction, and a thousand events at once. */
import type { Goal } from "../Goal.ts"
import { atLeast, either, times } from "../Goal.ts"
import type { Race } from "../Measurement.ts"
import { pipelined, plain } from "../ours/emit.ts"
import { emitting } from "../peers/Emitter.ts"
import * as graphile from "../peers/graphileWorker.ts"
import * as persisted from "../peers/persistedQueue.ts"
import * as boss from "../peers/pgBoss.ts"
import * as transactional from "../peers/pgTransactionalOutbox.ts"
import { twoRows } from "../peers/rawInsert.ts"
import { emitAllRace } from "./emitAll.ts"

const ours = "zakops"
const oursPipelined = "zakops, pipelined"
const oursOrdered = "zakops, with a key"
const hand = "INSERT by hand"
const handPipelined = "INSERT by hand, pipelined"

const pipelinedSettings = "the same over PipelinedPgClient, which the program chooses: twice the connections"
const settings = "transact and emit: validated, encoded, the processor woken"

/** @param callers each with a connection of its own */
const oneEach = (callers: number, size: number, goals: ReadonlyArray<Goal>): Race => ({
  name: `emit one event with a business row, ${callers} at a time`,
  unit: "transactions/s",
  size,
  quickSize: 1_000,
  contestants: [
    emitting(callers, { name: ours, settings }, plain.emit(1)),
    emitting(callers, { name: oursPipelined, settings: pipelinedSettings }, pipelined.emit(1)),
    emitting(callers, { name: oursOrdered, settings: "the same with an ordering key of its own" }, plain.emit(1, true)),
    emitting(callers, {
      name: hand,
      settings: "the same row through the same sql-pg, nothing validated, nobody woken",
      bound: true
    }, plain.byHand),
    emitting(
      callers,
      { name: handPipelined, settings: "the same over PipelinedPgClient", bound: true },
      pipelined.byHand
    ),
    emitting(
      callers,
      { name: "graphile-worker", settings: "add_job in the transaction, pg driver, prepared", share: 0.5 },
      graphile.emitting
    ),
    emitting(
      callers,
      { name: "pg-boss", settings: "send with the transaction's connection, pg driver", share: 0.5 },
      boss.emitting
    ),
    emitting(callers, { name: "PersistedQueue", settings: "offer in sql.withTransaction, sql-pg" }, persisted.emitting),
    emitting(
      callers,
      { name: "pg-transactional-outbox", settings: "its message storage in the transaction, pg driver" },
      transactional.emitting
    ),
    emitting(callers, {
      name: "no event",
      settings: "the business row alone, through the same sql-pg: without what is measured",
      bound: true
    }, plain.businessOnly),
    emitting(callers, {
      name: "two rows by pg",
      settings: "the pg driver without Effect, prepared; the second row in a table with a primary key only",
      bound: true
    }, twoRows)
  ],
  goals: [
    times(ours, hand, 0.95),
    times(oursPipelined, handPipelined, 0.95),
    times(oursPipelined, "PersistedQueue", 1.1),
    ...goals
  ]
})

const apart = [times(oursPipelined, "graphile-worker", 4), times(oursPipelined, "pg-boss", 3)]

const ten: Race = {
  name: "emit ten events with a business row, one after another, 16 at a time",
  unit: "transactions/s",
  size: 3_000,
  quickSize: 500,
  contestants: [
    emitting(16, { name: ours, settings }, plain.emit(10)),
    emitting(16, { name: oursPipelined, settings: pipelinedSettings }, pipelined.emit(10)),
    emitting(
      16,
      { name: "PersistedQueue", settings: "offer in sql.withTransaction, sql-pg" },
      persisted.emittingMany(10)
    )
  ],
  goals: []
}

export const emitRaces: ReadonlyArray<Race> = [
  oneEach(1, 4_000, []),
  oneEach(16, 12_000, apart),
  oneEach(64, 12_000, apart),
  ten,
  emitAllRace([either(atLeast(ours, 45_000, "events/s"), times(ours, "COPY", 0.75))])
]
