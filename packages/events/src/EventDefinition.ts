/**
 * What an event of one type is: its name, its newest version, whose aggregate it tells of, and the Schema of its payload.
 *
 * Making an event validates and encodes it, once. Decoding takes any older version that the upcasters reach and nothing newer
 * than this build knows. A definition whose upcasters have a gap is refused where it is written.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { DeliveryOptions, DeliverySettings } from "./DeliverySettings.ts"
import { problemOf, settingsOf } from "./DeliverySettings.ts"
import type { EventEnvelope } from "./EventEnvelope.ts"
import { InvalidEvent } from "./InvalidEvent.ts"
import * as JsonText from "./JsonText.ts"
import { isPersonal, Subject } from "./Personal.ts"
import type { Upcasters } from "./Upcaster.ts"
import { gaps, upcast } from "./Upcaster.ts"

/** A valid event that has not been written yet. `json` is its encoded payload: what is stored. */
export interface Event<
  out Type extends string = string,
  out Aggregate extends string | null = string | null,
  out A = unknown
> {
  readonly type: Type
  readonly schemaVersion: number
  readonly aggregateType: Aggregate
  readonly aggregateId: string | null
  readonly data: A
  readonly json: string
  /** How it is to be delivered, where its definition says so. */
  readonly delivery?: DeliverySettings | undefined
}

/** An event that was read back: the envelope, with the typed payload of the newest version. */
export interface ReadEvent<out A> {
  readonly envelope: EventEnvelope
  readonly data: A
}

/** The event has a version that this build does not know yet. A newer build will: keep it. */
export class NewerThanThisBuild extends Schema.TaggedError<NewerThanThisBuild>()("NewerThanThisBuild", {
  eventId: Schema.String,
  eventType: Schema.String,
  version: Schema.Int,
  newestKnown: Schema.Int
}) {
  override get message() {
    return `event ${this.eventId} is version ${this.version} of ${this.eventType}; this build knows versions up to ${this.newestKnown}`
  }
}

/** The event's data is not what its definition says, or an upcaster is missing or has thrown. */
export class UndecodableEvent extends Schema.TaggedError<UndecodableEvent>()("UndecodableEvent", {
  eventId: Schema.String,
  eventType: Schema.String,
  version: Schema.Int,
  cause: Schema.Defect()
}) {
  override get message() {
    const cause = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `event ${this.eventId} (${this.eventType}, version ${this.version}) cannot be decoded: ${cause}`
  }
}

/** What happened, before it is an event: what a decider decides and folds. */
export interface Happening<out Type extends string, out A> {
  readonly type: Type
  readonly data: A
}

/** `R` is what encoding and decoding need: the keys of personal fields, if it has any. */
export interface EventDefinition<
  out Type extends string,
  out Aggregate extends string | null,
  in out A,
  out R = never
> {
  readonly type: Type
  readonly version: number
  readonly aggregateType: Aggregate
  /**
   * Validates `data`, encodes it and gives an event that can be emitted.
   *
   * `aggregateId` says which aggregate the event tells of (at most 100 characters); without it the definition's own
   * `aggregateId` is asked.
   */
  readonly make: (
    data: A,
    options?: { readonly aggregateId?: string | undefined }
  ) => Effect.Effect<Event<Type, Aggregate, A>, InvalidEvent, R>
  /** The event as a decider speaks of it: typed, neither checked nor encoded yet. */
  readonly of: (data: A) => Happening<Type, A>
  /** True where a field is personal (see `Personal`): what is folded from it has to be forgotten along. */
  readonly personal: boolean
  /** Upcasts and decodes the data of an envelope of this type. */
  readonly decode: (envelope: EventEnvelope) => Effect.Effect<ReadEvent<A>, NewerThanThisBuild | UndecodableEvent, R>
}

/** Any definition, whatever its payload. */
// oxlint-disable-next-line typescript/no-explicit-any -- the payload is both taken and given, so only any stands for all
export type AnyEventDefinition = EventDefinition<string, string | null, any, any>

/** The payload type of a definition. */
export type Payload<D> = D extends EventDefinition<infer _Type, infer _Aggregate, infer A, infer _R> ? A : never

/** What decoding events of a definition needs. */
export type Services<D> = D extends EventDefinition<infer _Type, infer _Aggregate, infer _A, infer R> ? R : never

/** The happenings of one definition, or of each in a union of them. */
export type HappeningOf<D> = D extends EventDefinition<infer Type, infer _Aggregate, infer A, infer _R> ?
  Happening<Type, A>
  : never

interface Options<A, I, RD, RE, Aggregate> {
  readonly payload: Schema.Codec<A, I, RD, RE>
  readonly version?: number | undefined
  readonly aggregateType?: Aggregate | undefined
  readonly aggregateId?: ((data: A) => string) | undefined
  readonly upcasters?: Upcasters | undefined
  readonly delivery?: DeliveryOptions<A> | undefined
}

/**
 * Defines an event.
 *
 * @param type     at most 100 characters, for example `deal.created`
 * @param options  `version` is 1 unless given. `upcasters` holds for each older version that may still be read the function to the
 *                 next. A gap among them throws here, when the module loads: there is no event to lose yet. `subject` says whose data
 *                 the fields made by `Personal.field` hold. `delivery` says in which order its events are delivered, and how often tried.
 *
 * @example
 * const DealCreated = EventDefinition.make("deal.created", {
 *   aggregateType: "deal",
 *   aggregateId: (deal) => deal.dealId,
 *   payload: Schema.Struct({ dealId: Schema.String, title: Schema.String })
 * })
 */
export const make: {
  <const Type extends string, A, I, RD, RE, const Aggregate extends string | null = null>(
    type: Type,
    options: Options<A, I, RD, RE, Aggregate> & { readonly subject: (data: A) => string }
  ): EventDefinition<Type, Aggregate, A, RD | Exclude<RE, Subject>>
  <const Type extends string, A, I, RD, RE, const Aggregate extends string | null = null>(
    type: Type,
    options: Options<A, I, RD, RE, Aggregate>
  ): EventDefinition<Type, Aggregate, A, RD | RE>
} = <const Type extends string, A, I, RD, RE, const Aggregate extends string | null = null>(
  type: Type,
  options: Options<A, I, RD, RE, Aggregate> & { readonly subject?: (data: A) => string }
): EventDefinition<Type, Aggregate, A, RD | Exclude<RE, Subject>> => {
  const version = options.version ?? 1
  const upcasters = options.upcasters ?? {}
  const aggregateType = (options.aggregateType ?? null) as Aggregate
  const delivery = options.delivery ?? {}
  const wrong = definitionProblem(type, version, aggregateType, upcasters) ?? problemOf(delivery)
  if (wrong !== undefined) throw new TypeError(`the definition of event ${JSON.stringify(type)} is wrong: ${wrong}`)

  const encodePayload = Schema.encodeUnknownEffect(options.payload)
  const { subject } = options
  // Without a subject, a payload that needs one leaves the need in the type of make.
  const encode = (data: A) =>
    (subject === undefined
      ? encodePayload(data)
      : Effect.provideService(encodePayload(data), Subject, subject(data))) as Effect.Effect<
        I,
        Schema.SchemaError,
        Exclude<RE, Subject>
      >
  const decodePayload = Schema.decodeUnknownEffect(options.payload)
  const deliveryOf = options.delivery === undefined ? undefined : settingsOf(options.delivery)
  const refuse = (field: string, problem: string) => new InvalidEvent({ eventType: type, field, problem })

  return {
    type,
    version,
    aggregateType,
    of: (data) => ({ type, data }),
    // A subject may also be given from outside, for a definition that names none.
    personal: subject !== undefined || isPersonal(options.payload),
    make: Effect.fnUntraced(function*(data, given) {
      const encoded = yield* Effect.mapError(encode(data), (error) => {
        const [first] = formatIssues(error.issue).issues
        return refuse(JsonText.pathOf("data", first?.path ?? []), `is not valid: ${first?.message ?? error.message}`)
      })
      const json = JsonText.encode(encoded, "data")
      if (Result.isFailure(json)) return yield* refuse(json.failure.path, json.failure.problem)
      const aggregateId = given?.aggregateId ?? options.aggregateId?.(data) ?? null
      return {
        type,
        schemaVersion: version,
        aggregateType,
        aggregateId,
        data,
        json: json.success,
        delivery: deliveryOf?.(data)
      }
    }),
    decode: Effect.fnUntraced(function*(envelope) {
      const about = { eventId: envelope.id, eventType: type, version: envelope.schemaVersion }
      if (envelope.schemaVersion > version) return yield* new NewerThanThisBuild({ ...about, newestKnown: version })
      const newest = upcast(upcasters, envelope.data, envelope.schemaVersion, version)
      if (Result.isFailure(newest)) return yield* new UndecodableEvent({ ...about, cause: newest.failure.cause })
      const data = yield* Effect.mapError(
        decodePayload(newest.success),
        (cause) => new UndecodableEvent({ ...about, cause })
      )
      return { envelope, data }
    })
  }
}

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const definitionProblem = (
  type: string,
  version: number,
  aggregateType: string | null,
  upcasters: Upcasters
): string | undefined => {
  if (type.length === 0 || type.length > 100) return "a type has 1 to 100 characters"
  if (aggregateType !== null && aggregateType.length > 50) return "an aggregate type has at most 50 characters"
  if (!Number.isInteger(version) || version < 1) return `version ${version} is not a whole number from 1 up`
  const missing = gaps(upcasters, version)
  return missing.length === 0
    ? undefined
    : `its upcasters do not lead to version ${version}: see version ${missing.join(", ")}`
}
