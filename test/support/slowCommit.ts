/** A transaction whose COMMIT takes its time. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"

/** Makes the table and its trigger. Gives what is to be run in the transaction: its COMMIT takes so many seconds then. */
export const slowCommit = Effect.fnUntraced(function*(seconds: number) {
  const sql = yield* SqlClient
  yield* sql`CREATE TABLE slow_to_commit (seconds float)`
  yield* sql`CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(NEW.seconds); RETURN NULL; END'`
  yield* sql`CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow_to_commit DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION be_slow()`
  return sql`INSERT INTO slow_to_commit VALUES (${seconds})`
})
