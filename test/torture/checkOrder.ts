/** Checks of the order of each key, at the destination by its ledger, and in the log. */
import type { Books } from "./Books.ts"

/**
 * An event is settled when the destination has said yes to it, or when it is dead: only then may the next of its key begin. The ledger's
 * lines stand in the order in which things happened.
 */
export const checkOrder = (books: Books): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const begun = new Map<string, { readonly line: number; readonly at: number }>()
  const answered = new Map<string, number>()
  for (const [line, { at, id, what }] of books.ledger.entries()) {
    if (what === "begun" && !begun.has(id)) begun.set(id, { line, at })
    if (what === "answered" && !answered.has(id)) answered.set(id, line)
  }
  const died = new Map(books.outside.flatMap(({ diedAt, id }) => diedAt === null ? [] : [[id, diedAt]]))
  const places = new Map(books.log.map(({ id }, place) => [id, place]))

  const keys = Map.groupBy(books.business.filter(({ key }) => key !== null), ({ key }) => key ?? "")
  for (const [key, events] of keys) {
    const inOrder = events.toSorted((a, b) => (a.n ?? 0) - (b.n ?? 0))
    for (const [index, event] of inOrder.entries()) {
      if (event.n !== index + 1) problems.push(`${key} has event ${event.n} at place ${index + 1}`)
      const before = inOrder[index - 1]
      if (before === undefined) continue
      if ((places.get(before.id) ?? 0) > (places.get(event.id) ?? 0)) {
        problems.push(`${key}: ${event.n} stands before ${before.n} in the log`)
      }
      const began = begun.get(event.id)
      if (began === undefined) continue
      const yes = answered.get(before.id)
      const death = died.get(before.id)
      const settled = (yes !== undefined && yes < began.line) ||
        // The ledger's clock has no parts of a millisecond.
        (death !== undefined && Math.floor(death / 1000) <= began.at)
      if (!settled) problems.push(`${key}: ${event.n} was begun before ${before.n} was settled`)
    }
  }
  return problems
}
