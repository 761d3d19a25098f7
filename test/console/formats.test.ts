/** What the console shows of numbers, times, errors, JSON and addresses: rules without a browser. */
import { assert, describe, expect, it } from "@effect/vitest"
import { commonText } from "@zakops/console/format/errors"
import { indent } from "@zakops/admin/api/indent"
import { atLeast, count, perSecond, plural, short } from "@zakops/console/format/numbers"
import { brief, duration, relative } from "@zakops/console/format/times"
import { pick } from "@zakops/console/routing/pick"
import { format, parse } from "@zakops/console/routing/route"
import * as Schema from "effect/Schema"

describe("numbers", () => {
  it("keep all their digits, also beyond what a float holds", () => {
    expect(count("9007199254740993")).toBe("9,007,199,254,740,993")
    expect(count(9_223_372_036_854_775_807n)).toBe("9,223,372,036,854,775,807")
    expect(count("-1234567")).toBe("-1,234,567")
    expect(count(999)).toBe("999")
  })

  it("say when they were cut off, and how many of what", () => {
    expect(atLeast(10_000, true)).toBe("10,000+")
    expect(plural(1, "entry", "entries")).toBe("1 entry")
    expect(plural("1000", "entry", "entries")).toBe("1,000 entries")
    expect(plural(0, "event")).toBe("0 events")
  })

  it.each([[0, "0"], [0.25, "0.25"], [12, "12"], [1234, "1.23k"], [1_000_000, "1M"], [-2500, "-2.5k"]])(
    "%d is %s on an axis",
    (value, words) => expect(short(value)).toBe(words)
  )

  it.each([[0, "0"], [0.02, "0.02"], [0.31, "0.3"], [12.4, "12"], [1240.2, "1,240"]])(
    "%d a second is %s",
    (value, words) => expect(perSecond(value)).toBe(words)
  )
})

describe("times", () => {
  it.each([
    [-5, "0 ms"],
    [850, "850 ms"],
    [4230, "4.2 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [192_000, "3 min 12 s"],
    [18_120_000, "5 h 2 min"],
    [1_051_200_000, "12 d 4 h"]
  ])("%d ms are %s", (millis, words) => expect(duration(millis)).toBe(words))

  it("are a distance from now, before and after it", () => {
    const now = 1_000_000_000
    expect(relative(new Date(now + 400), now)).toBe("now")
    expect(relative(new Date(now + 12_000), now)).toBe("in 12 s")
    expect(relative(new Date(now - 180_000), now)).toBe("3 min ago")
    expect(brief(90_000_000)).toBe("1 d")
  })
})

describe("JSON text", () => {
  it("is indented, and its numbers keep their digits", () => {
    expect(indent(`{"a":9007199254740993,"b":[1,{"c":null}],"d":{},"e":[ ]}`)).toBe(
      `{\n  "a": 9007199254740993,\n  "b": [\n    1,\n    {\n      "c": null\n    }\n  ],\n  "d": {},\n  "e": []\n}`
    )
  })

  it("is left alone within strings, also where they contain brackets, quotes and markup", () => {
    const text = String.raw`{"a":"{\"x\": [1, 2]} <img src=x onerror=alert(1)> \\"}`
    expect(JSON.parse(indent(text))).toEqual(JSON.parse(text))
  })

  it.prop("means the same as before", { value: Schema.Json }, ({ value }) => {
    assert.deepStrictEqual(JSON.parse(indent(JSON.stringify(value))), JSON.parse(JSON.stringify(value)))
  })

  it.prop("ends, whatever it is given", { text: Schema.String }, ({ text }) => {
    assert.isString(indent(text))
  })
})

describe("a group of errors", () => {
  it("is looked for by its longest text between placeholders", () => {
    expect(commonText("connect ETIMEDOUT <n>.<n>.<n>.<n>:<n>")).toBe("connect ETIMEDOUT")
    expect(commonText("order <id> of customer <n> was refused")).toBe("of customer")
    expect(commonText("<n>")).toBe("")
  })
})

describe("addresses", () => {
  it("hold the path and the filters, whatever is in them", () => {
    expect(parse("#/entries?status=dead&type=deal.created")).toEqual({
      path: ["entries"],
      query: { status: "dead", type: "deal.created" }
    })
    expect(format(["streams", "deal", "a/b c"], { version: "3", from: "", to: undefined })).toBe(
      "#/streams/deal/a%2Fb%20c?version=3"
    )
  })

  it("that were typed by hand lead somewhere", () => {
    expect(parse("")).toEqual({ path: [], query: {} })
    expect(parse("#entries/%zz")).toEqual({ path: ["entries", "%zz"], query: {} })
  })

  const text = Schema.NonEmptyString

  it.prop("are read as they were written", { part: text, value: text }, ({ part, value }) => {
    // Half a surrogate pair is no text that a database holds.
    if (!part.isWellFormed() || !value.isWellFormed()) return
    assert.deepStrictEqual(parse(format(["streams", part], { value })), { path: ["streams", part], query: { value } })
  })

  it("give only the parameters that are asked for, and not empty", () => {
    expect(pick({ a: "1", b: "", c: "3" }, ["a", "b"])).toEqual({ a: "1" })
  })
})
