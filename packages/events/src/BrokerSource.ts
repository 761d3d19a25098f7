/**
 * An `EventSource` over any broker that keeps a message until it is acknowledged: what all of them have in common.
 *
 * A message is acknowledged after it was handled. One that the handler sets aside is held, unacknowledged, with those of its aggregate and
 * ordering key behind it, and handed out again after `asideFor`; the broker has it for as long, so nothing is lost with the process. A
 * session with the broker that breaks is opened anew, and what was not acknowledged in it comes again.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { EventEnvelope } from "./EventEnvelope.ts"
import type { EventSource } from "./EventSource.ts"
import { SetAside, SourceFailed } from "./EventSource.ts"
import { HeldBack } from "./heldBack.ts"

/** The session is over, and another may be opened: the connection is lost, or the broker is away. */
export class SessionLost extends Schema.TaggedError<SessionLost>()("SessionLost", { reason: Schema.String }) {
  override get message() {
    return this.reason
  }
}

/** One message, until it is settled. */
export interface Delivery {
  /** Fails where the message cannot be read as an event, with what is wrong with it. */
  readonly envelope: Result.Result<EventEnvelope, { readonly message: string }>
  /** Which message it is, in words for an operator who has to find it. */
  readonly place: string
  /** It was handled: the broker may forget it. */
  readonly acknowledge: Effect.Effect<void, SessionLost>
  /** It will never be handled: the broker is not to hand it out again. */
  readonly reject: Effect.Effect<void, SessionLost>
}

export interface Session {
  /** Waits for messages, and takes those that are there, in the broker's order. Interrupted, it has taken none. */
  readonly take: Effect.Effect<Arr.NonEmptyReadonlyArray<Delivery>, SessionLost>
}

/** What every source of a broker can be told. */
export interface Options {
  /** After what time an event that was set aside is handed out again, for whatever reason it was: 1 minute unless given. */
  readonly asideFor?: Duration.Input | undefined
  /**
   * What becomes of a message that is no event. `stop`, unless given: the source fails with it named, and comes back to it. `reject`: it is
   * logged and rejected, which leaves it to the broker's own ways with such (a dead-letter queue, the stream itself).
   */
  readonly unreadable?: "stop" | "reject" | undefined
}

const firstWait = Duration.millis(200)
const longestWait = Duration.seconds(10)

/**
 * @param name what the source is called in logs and errors
 * @param system what telemetry calls the broker: `messaging.system`
 * @param open opens a session; what it does not acknowledge goes back to the broker when the scope closes. `SourceFailed` ends the source,
 *             `SessionLost` has it try again, after 200 ms at first, at most 10 s.
 */
export const make = (
  name: string,
  system: string,
  open: Effect.Effect<Session, SessionLost | SourceFailed, Scope.Scope>,
  options: Options = {}
): EventSource => {
  const asideFor = Duration.toMillis(options.asideFor ?? "1 minute")
  const { unreadable = "stop" } = options

  const consume = <E, R>(
    handle: (batch: Arr.NonEmptyReadonlyArray<EventEnvelope>) => Effect.Effect<void, E | SetAside, R>
  ): Effect.Effect<never, E | SourceFailed, R> => {
    /** Gives what an event was set aside with, if one was. */
    const tryHandle = (batch: Arr.NonEmptyReadonlyArray<Readable>): Effect.Effect<Option.Option<SetAside>, E, R> =>
      Effect.catch(
        Effect.as(handle(Arr.map(batch, ({ envelope }) => envelope)), Option.none<SetAside>()),
        (error) => error instanceof SetAside ? Effect.succeedSome(error) : Effect.fail(error as E)
      )

    const handOut = Effect.fnUntraced(function*(held: HeldBack<Readable>, batch: ReadonlyArray<Readable>) {
      let rest = batch
      while (true) {
        rest = rest.filter((one) => !held.joins(one))
        if (!Arr.isReadonlyArrayNonEmpty(rest)) return
        const aside = yield* tryHandle(rest)
        if (Option.isNone(aside)) return yield* acknowledge(rest)
        const index = rest.findIndex(({ envelope }) => envelope.id === aside.value.eventId)
        const one = rest[index]
        if (one === undefined) {
          return yield* Effect.die(
            new Error(`${aside.value.message}, and it is not in the batch that ${name} handed out`)
          )
        }
        yield* acknowledge(rest.slice(0, index))
        yield* Effect.logWarning(`${name}: ${aside.value.message}`)
        held.hold(one, (yield* Clock.currentTimeMillis) + asideFor)
        rest = rest.slice(index + 1)
      }
    })

    const refuse = ({ place, reject }: Delivery, problem: string) =>
      unreadable === "stop"
        ? Effect.fail(new SourceFailed({ source: name, reason: `${place}: ${problem}` }))
        : Effect.andThen(Effect.logError(`${name} rejects ${place}: ${problem}`), reject)

    const run = Effect.fnUntraced(function*(session: Session) {
      const held = new HeldBack<Readable>(({ envelope }) => keysOf(envelope))
      while (true) {
        const wait = Option.map(
          held.nextDue,
          (due) => Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(due - now))
        )
        const taken = yield* Option.isNone(wait)
          ? Effect.asSome(session.take)
          : Effect.raceFirst(Effect.asSome(session.take), Effect.as(wait.value, Option.none()))
        if (Option.isNone(taken)) yield* handOut(held, held.takeDue(yield* Clock.currentTimeMillis))
        else {
          let readable: Array<Readable> = []
          for (const delivery of taken.value) {
            if (Result.isSuccess(delivery.envelope)) {
              readable.push({ envelope: delivery.envelope.success, acknowledge: delivery.acknowledge })
            } else {
              yield* handOut(held, readable)
              readable = []
              yield* refuse(delivery, delivery.envelope.failure.message)
            }
          }
          yield* handOut(held, readable)
        }
      }
    })

    return Effect.gen(function*() {
      let wait = firstWait
      let told: string | undefined
      while (true) {
        // Ends in failure only.
        const lost: SessionLost = yield* Effect.scoped(
          Effect.flatMap(open, (session) => {
            wait = firstWait
            told = undefined
            return run(session)
          })
        ).pipe(
          Effect.catchIf(
            (error): error is SessionLost => error instanceof SessionLost,
            (error) => Effect.succeed(error)
          )
        )
        // While the broker is away it is the same every time.
        if (lost.reason !== told) yield* Effect.logWarning(`${name} has no session, and opens another: ${lost.reason}`)
        told = lost.reason
        yield* Effect.sleep(wait)
        wait = Duration.min(Duration.times(wait, 2), longestWait)
      }
    })
  }

  return { name, system, consume }
}

interface Readable {
  readonly envelope: EventEnvelope
  readonly acknowledge: Effect.Effect<void, SessionLost>
}

const acknowledge = (handled: ReadonlyArray<Readable>) =>
  Effect.forEach(handled, (one) => one.acknowledge, { discard: true })

/** Whose order an event belongs to: its aggregate's and its key's. */
const keysOf = ({ aggregateId, aggregateType, orderingKey }: EventEnvelope): ReadonlyArray<string> => [
  ...aggregateId === null ? [] : [JSON.stringify([aggregateType, aggregateId])],
  ...orderingKey === null ? [] : [orderingKey]
]
