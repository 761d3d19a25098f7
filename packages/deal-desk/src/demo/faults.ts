/**
 * What goes wrong in the demo: a trigger that stands in for whatever can refuse a row of the log. It is gone when the scope closes, or
 * when somebody mends it.
 *
 * Events with a title that begins with "flaky" are refused twice and then taken; those that begin with "poison" never. The demo gives
 * such titles to actions, whose events the outbox brings to the log; a deal's events are in it with its own transaction.
 */
import * as Database from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"

export const flaky = "flaky"
export const poison = "poison"

/** The log takes everything again. */
export const mendFaults = Effect.gen(function*() {
  const { schema, sql, table } = yield* Database.make
  yield* sql`DROP TRIGGER IF EXISTS demo_refuses ON ${table.agentEvents}`
  yield* sql`DROP FUNCTION IF EXISTS ${sql.literal(`"${schema}".demo_refuses()`)}`
})

export const installFaults = Effect.gen(function*() {
  const { schema, sql, table } = yield* Database.make
  const fn = sql.literal(`"${schema}".demo_refuses()`)
  yield* Effect.acquireRelease(
    Effect.andThen(
      mendFaults,
      Effect.andThen(
        // Within the statement that delivers, the outbox still shows the failures so far.
        sql.unsafe(`CREATE FUNCTION "${schema}".demo_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE title TEXT := coalesce(NEW.event_data->>'title', '');
        BEGIN
          IF title LIKE '${poison}%' THEN RAISE EXCEPTION 'nobody can store this event'; END IF;
          IF title LIKE '${flaky}%' AND (SELECT attempts FROM "${schema}".outbox WHERE id = NEW.id) < 2 THEN
            RAISE EXCEPTION 'not now';
          END IF;
          RETURN NEW;
        END $$`),
        sql`CREATE TRIGGER demo_refuses BEFORE INSERT ON ${table.agentEvents} FOR EACH ROW EXECUTE FUNCTION ${fn}`
      )
    ),
    // Where the database is gone by now, so is the trigger.
    () => Effect.ignore(mendFaults)
  )
})
