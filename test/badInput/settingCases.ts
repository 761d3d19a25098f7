/** What may stand in the variables. `allowed`: the value is taken; otherwise the start ends with a line that names the variable. */

export interface SettingCase {
  readonly name: string
  readonly variable: string
  readonly value: string
  readonly allowed: boolean
}

const all = (variable: string, allowed: boolean, values: ReadonlyArray<string>): ReadonlyArray<SettingCase> =>
  values.map((value) => ({ name: `${variable}=${JSON.stringify(value).slice(0, 40)}`, variable, value, allowed }))

const noNumbers = [
  " ",
  "\t\n",
  "NaN",
  "Infinity",
  "-1",
  "+1",
  "1e2",
  "0x10",
  "1_000",
  "1,5",
  "１",
  "٣",
  "1 2",
  "null",
  "true"
]
  .concat(["9".repeat(400), "1\u0000", "1;", "$(id)", "1s", "one"])

const wholes = [
  "OUTBOX_BATCH_SIZE",
  "OUTBOX_BATCH_BYTES",
  "OUTBOX_MAX_ATTEMPTS",
  "OUTBOX_CONCURRENCY",
  "OUTBOX_MAX_EVENT_BYTES"
]
const seconds = ["OUTBOX_POLL_INTERVAL", "OUTBOX_LEASE", "OUTBOX_PUBLISH_TIMEOUT", "OUTBOX_DRAIN_TIMEOUT"]
const yesNos = ["OUTBOX_ENABLED", "OUTBOX_PROCESSOR_ENABLED"]

export const settingCases: ReadonlyArray<SettingCase> = [
  ...wholes.flatMap((variable) => [
    ...all(variable, false, [...noNumbers, "0", "1.0", "99999999999999999999"]),
    ...all(variable, true, ["1", " 7 ", "007"])
  ]),
  ...seconds.flatMap((variable) => [
    ...all(variable, false, [...noNumbers, ".5", "5.", "-0", "3600.1", "1.5.2"]),
    ...all(variable, true, ["1", " 1.5 ", "3600"])
  ]),
  ...yesNos.flatMap((variable) => [
    ...all(variable, false, [" ", "2", "-1", "NaN", "ja", "TRUE!", "truefalse", "ｔｒｕｅ", "x".repeat(10_000)]),
    ...all(variable, true, ["TRUE", " no ", "0"])
  ]),
  // An empty variable counts as one that is not set.
  ...[...wholes, ...seconds, ...yesNos, "OUTBOX_SCHEMA"].flatMap((variable) => all(variable, true, [""])),
  ...all("OUTBOX_SCHEMA", false, [
    " ",
    " zakops",
    "a b",
    `a"b`,
    `a"; DROP SCHEMA zakops; --`,
    "a'b",
    "a.b",
    "1a",
    "pg_temp",
    "PG_CATALOG",
    "information_schema",
    "zakops\n",
    "ſchema",
    "größe",
    "a\u0000",
    "$user",
    "x".repeat(51),
    "x".repeat(100_000)
  ]),
  ...all("OUTBOX_SCHEMA", true, ["Elsewhere", "_", "x".repeat(50), "select"])
]
