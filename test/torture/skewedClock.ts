/** Loaded before anything else, it sets this process' clock wrong by as many milliseconds as TORTURE_CLOCK_OFFSET says. */
const offset = Number(process.env["TORTURE_CLOCK_OFFSET"] ?? "0")
const RightDate = globalThis.Date

globalThis.Date = new Proxy(RightDate, {
  construct: (target, args: ReadonlyArray<unknown>, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [RightDate.now() + offset] : args, newTarget) as Date,
  get: (target, property, receiver) =>
    property === "now" ? () => RightDate.now() + offset : Reflect.get(target, property, receiver) as unknown
})
