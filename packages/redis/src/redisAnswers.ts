/** The answers of Redis to reading commands, in the protocol's version 2, decoded. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** `fields` is null where the message was deleted from the stream while it was somebody's to handle. */
export interface Message {
  readonly id: string
  readonly fields: ReadonlyMap<string, string> | null
}

const Entry = Schema.Tuple([Schema.String, Schema.NullOr(Schema.Array(Schema.String))])
const decodeStreams = Schema.decodeUnknownEffect(
  Schema.NullOr(Schema.Array(Schema.Tuple([Schema.String, Schema.Array(Entry)])))
)
const decodeAutoClaim = Schema.decodeUnknownEffect(
  Schema.TupleWithRest(Schema.Tuple([Schema.String, Schema.Array(Schema.NullOr(Schema.String))]), [Schema.Unknown])
)

const mapOf = (flat: ReadonlyArray<string>) => {
  const fields = new Map<string, string>()
  for (let index = 0; index + 1 < flat.length; index += 2) fields.set(flat[index] ?? "", flat[index + 1] ?? "")
  return fields
}

/** Of XREADGROUP over one stream; none where nothing has come in time. */
export const decodeMessages = (answer: unknown): Effect.Effect<ReadonlyArray<Message>, Schema.SchemaError> =>
  Effect.map(
    decodeStreams(answer),
    (streams) => (streams?.[0]?.[1] ?? []).map(([id, flat]) => ({ id, fields: flat === null ? null : mapOf(flat) }))
  )

/** Of XAUTOCLAIM with JUSTID: where to go on, and the ids. */
export const decodeClaimed = (
  answer: unknown
): Effect.Effect<{ readonly next: string; readonly ids: ReadonlyArray<string> }, Schema.SchemaError> =>
  Effect.map(decodeAutoClaim(answer), ([next, ids]) => ({ next, ids: ids.filter((id) => id !== null) }))
