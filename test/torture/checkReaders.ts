/** Checks of the log's readers: the guarded consumer and the projection. */
import { createHash } from "node:crypto"
import type { Books } from "./Books.ts"

export const checkEffects = ({ effects, log }: Books): ReadonlyArray<string> => {
  const times = Map.groupBy(effects, ({ id }) => id)
  const logged = new Set(log.map(({ id }) => id))
  return [
    ...[...logged].filter((id) => !times.has(id)).map((id) => `${id} had no effect`),
    ...[...times].flatMap(([id, rows]) => {
      if (!logged.has(id)) return [`${id} had an effect, and is not in the log`]
      return rows.length === 1 ? [] : [`${id} had its effect ${rows.length} times`]
    })
  ]
}

const md5 = (text: string) => createHash("md5").update(text).digest("hex")

export const checkFold = ({ fold, log }: Books): ReadonlyArray<string> => {
  const wanted = new Map<string, { events: number; digest: string }>()
  for (const { id, stream } of log) {
    const before = wanted.get(stream)
    wanted.set(stream, { events: (before?.events ?? 0) + 1, digest: md5(`${before?.digest ?? ""}${id}`) })
  }
  const found = new Map(fold.map((row) => [row.id, row]))
  return [
    ...[...wanted].flatMap(([stream, { digest, events }]) => {
      const row = found.get(stream)
      if (row === undefined) return [`${stream} is not in the projection`]
      if (row.events !== events) {
        return [`${stream} has ${row.events} events in the projection, and ${events} in the log`]
      }
      return row.digest === digest ? [] : [`${stream} was folded in another order than the log's`]
    }),
    ...[...found.keys()].filter((stream) => !wanted.has(stream)).map((stream) => `${stream} is not in the log`)
  ]
}
