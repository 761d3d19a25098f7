/** What is written to stderr in this process. */
import * as Effect from "effect/Effect"

/** stderr for as long as the scope is open: a terminal or none, and what is written to it. */
export const stderr = (isTTY: boolean) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { isTTY: wasTTY, write } = process.stderr
      const written: Array<string> = []
      process.stderr.isTTY = isTTY
      process.stderr.write = (text: string | Uint8Array) => written.push(String(text)) > 0
      return { written, wasTTY, write }
    }),
    ({ wasTTY, write }) =>
      Effect.sync(() => {
        process.stderr.isTTY = wasTTY
        process.stderr.write = write
      })
  )
