/**
 * The port to the keys of personal data: one key for each subject, whose deletion makes all that it enciphered unreadable.
 *
 * `@zakops/event-store` keeps them in a table of the same database. Keys that stand in backups can be brought back with them: where that
 * must not be, give an implementation over a key management service.
 */
import * as Context from "effect/Context"
import type * as Data from "effect/Data"
import { taggedEnum } from "effect/Data"
import type * as Effect from "effect/Effect"

/** What is known of a subject: its 256-bit key; that it was forgotten; or nothing at all. */
export type SubjectKey = Data.TaggedEnum<{
  Known: { readonly key: Uint8Array<ArrayBuffer> }
  Forgotten: {}
  Missing: {}
}>
export const SubjectKey = taggedEnum<SubjectKey>()

/** A store that cannot be reached is a defect: no event may be taken for unreadable because of it. */
export class SubjectKeys extends Context.Service<SubjectKeys, {
  readonly find: (subject: string) => Effect.Effect<SubjectKey>
  /** As `find`, but makes a key for a subject that nothing is known of. Committed at once, whatever transaction is open. */
  readonly findOrMake: (subject: string) => Effect.Effect<SubjectKey>
  /** Deletes the key for good. The subject stays known as forgotten: nothing personal of it can be written any more. */
  readonly forget: (subject: string) => Effect.Effect<void>
}>()("@zakops/events/SubjectKeys") {}
