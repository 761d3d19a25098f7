/** What a user may type after `zakops`, or put into DATABASE_URL. `url` and `tables` stand for those of the test's own database. */

export interface CommandCase {
  readonly name: string
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** The one line on stderr; undefined where the command line's own help is printed. */
  readonly says?: RegExp
}

const url = (name: string, DATABASE_URL: string, says: RegExp): CommandCase => ({
  name: `DATABASE_URL ${name}`,
  args: ["migrate"],
  env: { DATABASE_URL },
  says
})

const noUrl = /^zakops: DATABASE_URL is no Postgres URL: /
const unreachable = /^zakops: cannot reach the database at /

const urls: ReadonlyArray<CommandCase> = [
  url("empty", "", /^zakops: DATABASE_URL is not set: /),
  url("of spaces", "   ", /^zakops: DATABASE_URL is not set: /),
  url("a host only", "localhost", noUrl),
  url("of another scheme", "mysql://u:hunter2@h/d", noUrl),
  url("with a port beyond 65535", "postgres://u:hunter2@127.0.0.1:99999/d", noUrl),
  url(
    "with a broken escape in the password",
    "postgres://u:hunter2%ZZ@127.0.0.1:1/d",
    /^zakops: DATABASE_URL has a % /
  ),
  url("with NUL in the user", "postgres://u%00:hunter2@127.0.0.1:1/d", unreachable),
  url(
    "with an unknown sslmode",
    "postgres://u:hunter2@127.0.0.1:1/d?sslmode=hunter",
    /^zakops: DATABASE_URL has sslmode=hunter: allowed are /
  ),
  url("with a negative time-out", "postgres://u:hunter2@127.0.0.1:1/d?connect_timeout=-1", unreachable),
  url("of 100,000 characters", `postgres://u:hunter2@127.0.0.1:1/${"x".repeat(100_000)}`, unreachable),
  url("with line breaks", "postgres://u:hunter2@127.0.0.1:1/d\n\nzakops: all is well", /^zakops: [^\n]*\n$/),
  url("with a password in the query", "postgres://127.0.0.1:1/d?password=hunter2", unreachable)
]

const arg = (name: string, args: ReadonlyArray<string>, says?: RegExp): CommandCase => ({
  name,
  args,
  ...(says === undefined ? {} : { says })
})

const noProjection = /^zakops: (there is no projection|projection .*there is none of that name)/

const args: ReadonlyArray<CommandCase> = [
  arg("an unknown command", ["emit"]),
  arg("an unknown flag", ["migrate", "--force"]),
  arg("a flag without its value", ["projections", "switch", "totals", "--version"]),
  ...["", "1.5", "NaN", "one", "１", "99999999999999999999999"].map((version) =>
    arg(`--version ${JSON.stringify(version)}`, ["projections", "switch", "totals", "--version", version])
  ),
  arg(
    "--version 2147483648",
    ["projections", "switch", "totals", "--version", "2147483648"],
    noProjection
  ),
  arg("--version -1", ["projections", "switch", "totals", "--version=-1"], noProjection),
  arg("--id no UUID", ["projections", "retry", "totals", "--id", "'; DROP TABLE x; --"], /^zakops: --id is /),
  arg("--id empty", ["projections", "discard", "totals", "--id", ""], /^zakops: --id is /),
  arg("neither --id nor --all", ["projections", "retry", "totals"], /^zakops: say which parked events/),
  ...["", " ", "x".repeat(300), `'; DROP TABLE zakops.outbox; --`, "__proto__", "a\nb", "%s"].map((name) =>
    arg(`a projection called ${JSON.stringify(name).slice(0, 40)}`, ["projections", "status", name], noProjection)
  )
]

const schemas: ReadonlyArray<CommandCase> = [
  `a"b`,
  `x"; DROP SCHEMA zakops CASCADE; --`,
  "a;b",
  "pg_toast",
  " ",
  "x".repeat(51)
]
  .flatMap((schema) =>
    [["migrate"], ["roles"], ["worker"]].map((args) => ({
      name: `${args[0]} with OUTBOX_SCHEMA ${JSON.stringify(schema).slice(0, 30)}`,
      args,
      env: { OUTBOX_SCHEMA: schema },
      says: /^zakops: OUTBOX_SCHEMA is .*: allowed are letters/
    }))
  )

export const commandCases: ReadonlyArray<CommandCase> = [...urls, ...args, ...schemas]
