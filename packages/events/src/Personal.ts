/**
 * Personal data in events that are never changed: a field is stored enciphered with the key of the person it speaks of (AES-256-GCM), and
 * reads as `forgotten` once that key is deleted.
 *
 * The event itself stays, with everything that is not personal. What was copied elsewhere in the clear (by a consumer, into a projection)
 * is not reached by it.
 */
import * as Context from "effect/Context"
import * as Base64 from "effect/encoding/Base64"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as JsonText from "./JsonText.ts"
import { SubjectKeys } from "./SubjectKeys.ts"

/** Whose data is being enciphered, in at most 200 characters. A definition's `subject` provides it; without it, an event with personal fields cannot be made. */
export class Subject extends Context.Service<Subject, string>()("@zakops/events/Subject") {}

/** What a personal field reads as when its subject was forgotten. */
export const Forgotten = Schema.TaggedStruct("Forgotten", {})
export type Forgotten = typeof Forgotten.Type
export const forgotten: Forgotten = { _tag: "Forgotten" }

/** Whether a personal field has been forgotten. */
export const isForgotten: (value: unknown) => value is Forgotten = Schema.is(Forgotten)

const Enciphered = Schema.Struct({
  $personal: Schema.Union([
    Schema.Struct({ subject: Schema.String, iv: Schema.String, text: Schema.String }),
    Schema.Struct({ forgotten: Schema.Literal(true) })
  ])
})
const decodeEnciphered = Schema.decodeUnknownResult(Enciphered)

/**
 * A field that holds personal data of the definition's `subject`.
 *
 * @example
 * EventDefinition.make("customer.joined", {
 *   subject: (customer) => customer.customerId,
 *   payload: Schema.Struct({ customerId: Schema.String, name: Personal.field(Schema.String) })
 * })
 */
export const field = <A, I>(schema: Schema.Codec<A, I>) =>
  Schema.Unknown.pipe(Schema.decodeTo(Schema.Union([Forgotten, schema]), {
    decode: SchemaGetter.transformEffect((json) =>
      decipher(json) as Effect.Effect<never, SchemaIssue.Issue, SubjectKeys>
    ),
    encode: SchemaGetter.transformEffect(encipher)
  })).annotate({ [marker]: true })

const marker = "@zakops/events/personal"

/** Whether a field of the schema, at any depth, was made by `field`. */
export const isPersonal = (schema: Schema.Top): boolean => holdsMarker(schema.ast, new Set())

const holdsMarker = (ast: SchemaAST.AST, seen: Set<SchemaAST.AST>): boolean => {
  // A recursive schema comes back to itself.
  if (seen.has(ast)) return false
  seen.add(ast)
  return ast.annotations?.[marker] === true ||
    partsOf(ast).some((part) => holdsMarker(part, seen)) ||
    (ast.encoding ?? []).some(({ to }) => holdsMarker(to, seen))
}

const partsOf = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> => {
  switch (ast._tag) {
    case "Declaration":
      return ast.typeParameters
    case "Arrays":
      return [...ast.elements, ...ast.rest]
    case "Objects":
      return [...ast.propertySignatures, ...ast.indexSignatures].map(({ type }) => type)
    case "Union":
      return ast.types
    case "Suspend":
      return [ast.thunk()]
    default:
      return []
  }
}

const mostCharacters = 200

/** What is wrong with a subject's name, in words that follow the field: it has to be one that a store of keys can keep. */
const problemOfSubject = (subject: string): string | undefined => {
  if (subject.length === 0) return "speaks of a subject without a name"
  if (subject.length > mostCharacters) {
    return `speaks of a subject whose name has ${subject.length} characters, more than ${mostCharacters}`
  }
  return subject.includes("\u0000") || !subject.isWellFormed()
    ? "speaks of a subject whose name has a NUL or half a surrogate pair in it"
    : undefined
}

const refuse = (message: string) => new SchemaIssue.InvalidValue({ message })

const importKey = (key: Uint8Array<ArrayBuffer>) =>
  Effect.promise(() => crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]))

// Bound to the subject, so that nobody's data can be passed off as another's.
const algorithm = (iv: Uint8Array<ArrayBuffer>, subject: string) => ({
  name: "AES-GCM",
  iv,
  additionalData: new TextEncoder().encode(subject)
})

const encipher = Effect.fnUntraced(function*(encoded: unknown) {
  if (isForgotten(encoded)) return { $personal: { forgotten: true } }
  const json = JsonText.encode(encoded, "value")
  if (Result.isFailure(json)) return yield* Effect.fail(refuse(json.failure.problem))
  const subject = yield* Subject
  const problem = problemOfSubject(subject)
  if (problem !== undefined) return yield* Effect.fail(refuse(problem))
  const known = yield* (yield* SubjectKeys).findOrMake(subject)
  if (known._tag !== "Known") {
    return yield* Effect.fail(refuse(`speaks of ${JSON.stringify(subject)}, who was forgotten`))
  }
  const key = yield* importKey(known.key)
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const text = yield* Effect.promise(() =>
    crypto.subtle.encrypt(algorithm(iv, subject), key, new TextEncoder().encode(json.success))
  )
  return { $personal: { subject, iv: Base64.encode(iv), text: Base64.encode(new Uint8Array(text)) } }
})

const decipher = Effect.fnUntraced(function*(json: unknown): Effect.fn.Return<unknown, SchemaIssue.Issue, SubjectKeys> {
  const stored = decodeEnciphered(json)
  if (Result.isFailure(stored)) return yield* Effect.fail(refuse("is no enciphered value"))
  const { $personal } = stored.success
  if ("forgotten" in $personal) return forgotten
  const known = yield* (yield* SubjectKeys).find($personal.subject)
  if (known._tag === "Forgotten") return forgotten
  if (known._tag === "Missing") return yield* Effect.fail(refuse("was enciphered with a key that is not here"))
  const key = yield* importKey(known.key)
  const parts = Result.all([Base64.decode($personal.iv), Base64.decode($personal.text)])
  if (Result.isFailure(parts)) return yield* Effect.fail(refuse("is no enciphered value"))
  const [iv, text] = parts.success
  const plain = yield* Effect.tryPromise({
    try: () => crypto.subtle.decrypt(algorithm(new Uint8Array(iv), $personal.subject), key, new Uint8Array(text)),
    catch: () => refuse("cannot be deciphered: it was changed, or the key is another's")
  })
  return JSON.parse(new TextDecoder().decode(plain)) as unknown
})
