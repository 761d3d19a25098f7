/** What the columns of rows become in an answer: any program may have written them. */

/** Null where there is none, or none that a Date can be: Postgres has later times, infinity among them. */
export const toTime = (value: unknown): Date | null =>
  value instanceof Date && !Number.isNaN(value.getTime()) ? value : null

/** Where a time has to stand: the beginning of time for one that no Date can be. */
export const toTimeOr = (value: unknown, otherwise: Date): Date => toTime(value) ?? otherwise
