/** Emptying a queue that is full: deliver as fast as it goes, to handlers that do nothing. */
import { toExternal, toLog } from "../ours/drain.ts"
import { times } from "../Goal.ts"
import type { Race } from "../Measurement.ts"
import { draining } from "../peers/Drainer.ts"
import * as graphile from "../peers/graphileWorker.ts"
import * as persisted from "../peers/persistedQueue.ts"
import * as transactional from "../peers/pgTransactionalOutbox.ts"
import * as boss from "../peers/pgBoss.ts"
import { rawUpdates } from "../peers/rawUpdates.ts"
import * as seed from "../peers/seedLoop.ts"

const external = "zakops"
const log = "zakops, event log"
const raw = "two UPDATEs"

export const drainRaces: ReadonlyArray<Race> = [{
  name: "drain",
  unit: "events/s",
  size: 100_000,
  quickSize: 10_000,
  contestants: [
    draining(
      { name: external, settings: "external publisher, OUTBOX_BATCH_SIZE 4000, default pool of 4; keeps what is done" },
      toExternal({ batchSize: 4000 })
    ),
    draining(
      {
        name: log,
        settings: "delivery into the event log, OUTBOX_BATCH_SIZE 2000, default pool of 4; keeps what is done"
      },
      toLog({ batchSize: 2000 })
    ),
    draining({ name: "graphile-worker", settings: graphile.throughputSettings }, graphile.graphileWorker),
    draining({ name: "pg-boss", settings: boss.throughputSettings }, boss.pgBoss),
    draining(
      { name: "PersistedQueue", settings: persisted.throughputSettings, share: 0.2 },
      persisted.persistedQueue
    ),
    draining(
      { name: "pg-transactional-outbox", settings: transactional.throughputSettings, share: 0.05 },
      transactional.pgTransactionalOutbox
    ),
    draining({ name: "seed's loop", settings: seed.throughputSettings, share: 0.1 }, seed.seedLoop),
    draining({
      name: raw,
      settings:
        "one connection claims and settles the whole table by two statements; no handler, fence, limit or order",
      bound: true
    }, rawUpdates)
  ],
  goals: [
    times(external, "graphile-worker", 1.75),
    times(external, "pg-boss", 2.5),
    times(external, "PersistedQueue", 16),
    times(external, "seed's loop", 40),
    times(external, raw, 0.7),
    times(log, "graphile-worker", 3),
    times(log, raw, 1.2)
  ]
}]
