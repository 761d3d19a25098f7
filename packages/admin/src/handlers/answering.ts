/** What the services fail with, as the API's errors: with their message in the body. */
import type { ProjectionRefused } from "@zakops/event-store/ProjectionCatalog"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import type { EmptyFilter, InvalidRequest, NotBlocked, StoppedMidway } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import * as Errors from "../api/errors.ts"

type Known =
  | InvalidRequest
  | EmptyFilter
  | NotBlocked
  | StoppedMidway
  | ProjectionRefused
  | InvalidSchemaName
  | SqlError
  | Errors.NotFound
  | Errors.CountChanged

type Answer<E> = E extends InvalidRequest ? Errors.InvalidRequest
  : E extends EmptyFilter ? Errors.EmptyFilter
  : E extends NotBlocked ? Errors.NotBlocked
  : E extends StoppedMidway ? Errors.StoppedMidway
  : E extends ProjectionRefused ? Errors.Refused
  : E extends InvalidSchemaName | SqlError ? Errors.Unavailable
  : E

const toAnswer = (error: Known) => {
  const { message } = error
  switch (error._tag) {
    case "InvalidRequest":
      return new Errors.InvalidRequest({ message, field: error.field, problem: error.problem })
    case "EmptyFilter":
      return new Errors.EmptyFilter({ message, action: error.action })
    case "NotBlocked":
      return new Errors.NotBlocked({ message, key: error.key })
    case "StoppedMidway":
      return new Errors.StoppedMidway({ message, action: error.action, count: error.count })
    case "ProjectionRefused":
      return new Errors.Refused({ message })
    case "InvalidSchemaName":
      return new Errors.Unavailable({ message })
    case "SqlError":
      return new Errors.Unavailable({ message: `the database: ${SqlErrors.serverText(error)}` })
    default:
      return error
  }
}

/** As `self`, with the failures of the services as those of the API. A connection that is lost is one of them. */
export const answering = <A, E extends Known, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, Answer<E> | Errors.Unavailable, R> =>
  Effect.mapError(
    SqlErrors.lostAsFailure(self),
    (error) => toAnswer(error) as Answer<E> | Errors.Unavailable
  )
