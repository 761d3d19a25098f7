/**
 * What the API refuses a request with: a JSON body that names the error in `_tag`, says in `message` what is wrong and what to do, and holds
 * the particulars.
 */
import * as Schema from "effect/Schema"

/** A value that cannot be meant: which, and what is wrong with it. Nothing was done. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  message: Schema.String,
  field: Schema.String,
  problem: Schema.String
}, { httpApiStatus: 400 }) {}

/** A change without a condition would have met everything; `"all"` is how to ask for that. */
export class EmptyFilter extends Schema.TaggedError<EmptyFilter>()("EmptyFilter", {
  message: Schema.String,
  action: Schema.String
}, { httpApiStatus: 400 }) {}

/** A token is needed, and was missing or wrong. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  message: Schema.String
}, { httpApiStatus: 401 }) {}

/** The token may read only. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {
  message: Schema.String
}, { httpApiStatus: 403 }) {}

/** Nobody may change anything here: writes are off. */
export class WritesOff extends Schema.TaggedError<WritesOff>()("WritesOff", {
  message: Schema.String
}, { httpApiStatus: 403 }) {}

/** The request names a host, or comes from a site, that is not this one. */
export class NotThisSite extends Schema.TaggedError<NotThisSite>()("NotThisSite", {
  message: Schema.String
}, { httpApiStatus: 403 }) {}

/** There is nothing of that name or id. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {
  message: Schema.String
}, { httpApiStatus: 404 }) {}

/** No dead entry holds the key up: somebody else was faster, or it was never blocked. */
export class NotBlocked extends Schema.TaggedError<NotBlocked>()("NotBlocked", {
  message: Schema.String,
  key: Schema.String
}, { httpApiStatus: 409 }) {}

/** More or fewer entries match by now than was said in `expected`: look again. Nothing was changed. */
export class CountChanged extends Schema.TaggedError<CountChanged>()("CountChanged", {
  message: Schema.String,
  expected: Schema.Int,
  found: Schema.Int
}, { httpApiStatus: 409 }) {}

/** It is there, and that cannot be done with it. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  message: Schema.String
}, { httpApiStatus: 409 }) {}

/** A change in bulk ended early: `count` entries are changed and stay so. */
export class StoppedMidway extends Schema.TaggedError<StoppedMidway>()("StoppedMidway", {
  message: Schema.String,
  action: Schema.String,
  count: Schema.Int
}, { httpApiStatus: 503 }) {}

/** Too many requests in a short time; `retry-after` says when to come again. */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>()("TooManyRequests", {
  message: Schema.String,
  /** Seconds. */
  retryAfter: Schema.Int
}, { httpApiStatus: 429 }) {}

/** The database cannot be reached, or refuses. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  message: Schema.String
}, { httpApiStatus: 503 }) {}

/** A defect of this program, which its log describes. */
export class InternalError extends Schema.TaggedError<InternalError>()("InternalError", {
  message: Schema.String
}, { httpApiStatus: 500 }) {}
