/**
 * Statements whose text is put together once: on hot paths, where a template that is put together for each run costs the client as much as
 * everything else it does for the statement.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment, Statement } from "effect/sql/Statement"
import { CurrentTransformer } from "effect/sql/Statement"

export type CompiledStatement = readonly [text: string, params: ReadonlyArray<unknown>]

/**
 * Stands in a template for a value of what the statement is run with: for a parameter, and nothing else. A template that looked at it would
 * decide once for all runs.
 */
export type ValueOf<Input> = (of: (input: Input) => unknown) => unknown

export interface CompiledOnce<Input, Row> {
  /** As any statement of the client, with a span. */
  readonly run: (input: Input) => Effect.Effect<ReadonlyArray<Row>, SqlError>
  /** Undefined where the time is not the database's own, and has to be asked for each time. */
  readonly compiled: ((input: Input) => CompiledStatement) | undefined
}

/** The expression for "now", where it is the same words each time. Another clock's is a parameter. */
export const fixedTime = ({ now }: Database): Fragment | undefined =>
  Exit.isExit(now) && Exit.isSuccess(now) ? now.value as Fragment : undefined

/** @param statement a template; each value in it that is not always the same comes from `value` */
export const compiledOnce = <Input, Row extends object = object>(
  db: Database,
  statement: (value: ValueOf<Input>, time: Fragment) => Statement<Row>
): CompiledOnce<Input, Row> => {
  const time = fixedTime(db)
  if (time === undefined) {
    return {
      run: (input) => Effect.flatMap(db.now, (time) => statement((of) => of(input), time)),
      compiled: undefined
    }
  }
  const [text, values] = statement((of) => of, time).compile()
  const compiled = (input: Input): CompiledStatement => [
    text,
    values.map((value) => typeof value === "function" ? value(input) : value)
  ]
  return {
    run: (input) =>
      Effect.flatMap(
        unlessTransformed(() => db.sql.unsafe<Row>(...compiled(input)), () => statement((of) => of(input), time)),
        (chosen) => chosen
      ),
    compiled
  }
}

/**
 * `compiled`, unless a transformer sees all statements: that may add parameters, which Effect would number from 1 again behind a text that has
 * some. Then it is `whole`, the statement as it was made.
 */
export const unlessTransformed = <S>(compiled: () => S, whole: () => S): Effect.Effect<S> =>
  Effect.map(CurrentTransformer, (transformer) => transformer === undefined ? compiled() : whole())
