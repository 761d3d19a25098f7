/** Numbers for eyes. Those of 64 bits come as strings of digits and stay exact: nothing here goes through a float that cannot hold it. */

const grouping = /\B(?=(\d{3})+(?!\d))/g

/** "9007199254740993" as "9,007,199,254,740,993". What is no whole number is given back as it is. */
export const count = (value: string | number | bigint): string => {
  const digits = String(value)
  return /^-?\d+$/.test(digits) ? digits.replace(grouping, ",") : digits
}

/** A count that was cut off at a limit: "10,000+". */
export const atLeast = (value: string | number | bigint, capped: boolean): string =>
  `${count(value)}${capped ? "+" : ""}`

const units = [["k", 1e3], ["M", 1e6], ["G", 1e9], ["T", 1e12]] as const

/** Three digits and a unit, for the axis of a chart: 1234 as "1.23k". */
export const short = (value: number): string => {
  const size = Math.abs(value)
  const unit = units.findLast(([, from]) => size >= from)
  if (unit === undefined) return String(Math.round(value * 100) / 100)
  return `${Number((value / unit[1]).toPrecision(3))}${unit[0]}`
}

/** A rate a second, with as many digits as say something: "0.3", "12", "1,240". */
export const perSecond = (value: number): string =>
  value === 0 ? "0" : value < 10 ? value.toFixed(value < 0.1 ? 2 : 1) : count(Math.round(value))

/** "1 entry", "2 entries"; the plural is said where it is not one with an s. */
export const plural = (value: string | number, one: string, many = `${one}s`): string =>
  `${count(value)} ${String(value) === "1" ? one : many}`
