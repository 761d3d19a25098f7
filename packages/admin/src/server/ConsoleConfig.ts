/** What the console and its API are set to: by variables, or by a program. */
import { InvalidSetting } from "@zakops/outbox"
import type { Setting } from "@zakops/outbox/connecting/readSetting"
import { read, whole, yesNo } from "@zakops/outbox/connecting/readSetting"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { Role } from "../api/Access.ts"

/** Who may ask: what the audit calls them, what they may do, and the token that they show. */
export interface Token {
  readonly name: string
  readonly role: Role
  readonly secret: Redacted.Redacted
}

export interface ConsoleSettings {
  /** The address that is listened on. Beyond this machine only with tokens. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Where it stands: empty, or a path such as `/ops/outbox`. */
  readonly basePath: string
  readonly tokens: ReadonlyArray<Token>
  /** Whether anything may be changed, by those who may. */
  readonly writes: boolean
  /** The hosts that a request may name, with or without a port, beside this machine's own; `"any"` for all. */
  readonly hosts: "any" | ReadonlyArray<string>
  /** Fields that are masked; see `Masking.isNamed`. */
  readonly mask: ReadonlyArray<string>
  /** Requests in a second for each token, on average; four times as many at once. */
  readonly rate: number
  /** Where a trace is shown, with `{traceId}` in it. */
  readonly traceUrl: string | null
}

export const defaults: ConsoleSettings = {
  host: "127.0.0.1",
  port: 8480,
  basePath: "",
  tokens: [],
  writes: false,
  hosts: [],
  mask: [],
  rate: 50,
  traceUrl: null
}

/** Shorter secrets could be guessed. */
export const shortestSecret = 16

const list = (text: string) => text.split(",").map((one) => one.trim()).filter((one) => one !== "")

const settings = {
  host: {
    variable: "CONSOLE_HOST",
    fallback: defaults.host,
    allowed: "an address or a name to listen on",
    parse: (text) => /^[\w.:-]+$/.test(text) ? text : undefined
  } satisfies Setting<string>,
  port: whole("CONSOLE_PORT", defaults.port, 0, 65_535),
  basePath: {
    variable: "CONSOLE_PATH",
    fallback: "",
    allowed: "a path such as /ops/outbox",
    parse: (text) => text === "/" || text === "" ? "" : /^(\/(?!\.+(\/|$))[\w.~-]+)+$/.test(text) ? text : undefined
  } satisfies Setting<string>,
  writes: yesNo("CONSOLE_WRITES", false),
  hosts: {
    variable: "CONSOLE_HOSTS",
    fallback: [],
    allowed: "names of hosts, such as ops.example.com or ops.example.com:8443, with commas between; or *",
    parse: (text) =>
      text === "*" ? "any" : list(text).every((host) => /^[\w.:[\]-]+$/.test(host)) ? list(text) : undefined
  } satisfies Setting<"any" | ReadonlyArray<string>>,
  mask: {
    variable: "CONSOLE_MASK",
    fallback: [],
    allowed: "names or paths of fields, such as email or data.card.number, with commas between",
    parse: list
  } satisfies Setting<ReadonlyArray<string>>,
  rate: whole("CONSOLE_RATE", defaults.rate, 1, 100_000),
  traceUrl: {
    variable: "CONSOLE_TRACE_URL",
    fallback: null,
    allowed: "an http or https address with {traceId} in it",
    parse: (text) => text === "" ? null : /^https?:\/\/\S*\{traceId\}\S*$/.test(text) ? text : undefined
  } satisfies Setting<string | null>
}

const tokenForm = /^([\w.@-]{1,100}):(read|operate):(\S+)$/

const tokens: Setting<ReadonlyArray<Token>> = {
  variable: "CONSOLE_TOKENS",
  fallback: [],
  allowed: `name:role:secret, with commas between; the role is read or operate, and a secret has ${shortestSecret} ` +
    "characters or more, none of them a comma",
  parse: (text) => {
    const found = list(text).map((one): Token | undefined => {
      const [, name, role, secret] = tokenForm.exec(one) ?? []
      return name === undefined || secret === undefined || secret.length < shortestSecret
        ? undefined
        : { name, role: role === "operate" ? "operate" : "read", secret: Redacted.make(secret) }
    })
    const known = found.filter((token) => token !== undefined)
    return known.length === found.length ? known : undefined
  }
}

/** A wrong value is told by its variable, and never shown: it holds secrets. */
const readTokens = Effect.mapError(
  read(tokens),
  ({ allowed, variable }) => new InvalidSetting({ variable, value: "(not shown)", allowed })
)

export class ConsoleConfig extends Context.Service<ConsoleConfig, ConsoleSettings>()("@zakops/admin/ConsoleConfig") {
  /** From the variables CONSOLE_HOST, CONSOLE_PORT and so on. */
  static readonly layer = Layer.effect(
    ConsoleConfig,
    Effect.gen(function*() {
      return ConsoleConfig.of({
        host: yield* read(settings.host),
        port: yield* read(settings.port),
        basePath: yield* read(settings.basePath),
        tokens: yield* readTokens,
        writes: yield* read(settings.writes),
        hosts: yield* read<"any" | ReadonlyArray<string>>(settings.hosts),
        mask: yield* read<ReadonlyArray<string>>(settings.mask),
        rate: yield* read(settings.rate),
        traceUrl: yield* read<string | null>(settings.traceUrl)
      })
    })
  )
  /** As given, with the defaults for the rest. */
  static readonly layerWith = (given: Partial<ConsoleSettings>) =>
    Layer.succeed(ConsoleConfig, ConsoleConfig.of({ ...defaults, ...given }))
}
