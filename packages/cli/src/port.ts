/** `--port`, checked before anything is tried. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { misuse } from "./Problem.ts"

export const checkPort = (port: Option.Option<number>) =>
  Option.isSome(port) && (port.value < 0 || port.value > 65_535)
    ? misuse(`--port is ${port.value}: allowed is 0 to 65535`)
    : Effect.void
