/** The admin handler over a test's database, asked as a browser, a program, or a stranger would. */
import type { AdminHandler } from "@zakops/admin/AdminHandler"
import { make } from "@zakops/admin/AdminHandler"
import type { ConsoleSettings, Token } from "@zakops/admin/server/ConsoleConfig"
import { ConsoleConfig } from "@zakops/admin/server/ConsoleConfig"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export const secrets = { ann: "the-token-of-ann-1234", bob: "the-token-of-bob-5678" }

/** Ann may operate, Bob may read. */
export const tokens: ReadonlyArray<Token> = [
  { name: "ann", role: "operate", secret: Redacted.make(secrets.ann) },
  { name: "bob", role: "read", secret: Redacted.make(secrets.bob) }
]

export const settingsOf = (settings: Partial<ConsoleSettings>) =>
  Effect.map(
    Effect.provide(ConsoleConfig, ConsoleConfig.layerWith(settings)),
    (config) => config
  )

/** A handler with these settings, for as long as the scope is open; open to everybody where no token is among them. */
export const handlerWith = (settings: Partial<ConsoleSettings> = {}) =>
  Effect.provide(make({ open: settings.tokens === undefined }), ConsoleConfig.layerWith(settings))

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The body as JSON, or as text where it is none. */
  readonly body: unknown
}

export interface Question {
  readonly method?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly token?: string
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Asks for a path, as a program at this machine would. */
export const ask = ({ handle }: AdminHandler, path: string, { body, headers = {}, method, token }: Question = {}) =>
  Effect.promise(async (): Promise<Answer> => {
    const response = await handle(
      new Request(`http://127.0.0.1:8480${path}`, {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: {
          host: "127.0.0.1:8480",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
      })
    )
    return { status: response.status, headers: response.headers, body: parse(await response.text()) }
  })

/** `_tag` of an error's body. */
export const tagOf = ({ body }: Answer): unknown =>
  typeof body === "object" && body !== null && "_tag" in body ? body._tag : undefined
