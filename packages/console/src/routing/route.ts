/**
 * Where in the console one is, as the part of the address behind the `#`: `#/entries/6f…?status=dead`. Pure.
 *
 * Behind the `#`, because it never reaches a server: the console works under any path, and reloading any page of it works without a rule
 * that sends unknown paths to it. All filters are in it, so that an address can be passed on.
 */
export interface Route {
  /** Decoded parts of the path: `["entries", "6f…"]`; none is the overview. */
  readonly path: ReadonlyArray<string>
  readonly query: Readonly<Record<string, string>>
}

export const overview: Route = { path: [], query: {} }

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    // Half a percent sign, typed by hand.
    return part
  }
}

/** Any text is a route. Of a parameter that is given twice the last one counts. */
export const parse = (hash: string): Route => {
  const text = hash.replace(/^#?\/?/, "")
  const mark = text.indexOf("?")
  const path = mark < 0 ? text : text.slice(0, mark)
  return {
    path: path.split("/").filter((part) => part !== "").map(decoded),
    query: mark < 0 ? {} : Object.fromEntries(new URLSearchParams(text.slice(mark + 1)))
  }
}

/** Parameters without a value are left out. */
export const format = (
  path: ReadonlyArray<string>,
  query: Readonly<Record<string, string | undefined>> = {}
): string => {
  const given = Object.entries(query).filter((pair): pair is [string, string] =>
    pair[1] !== undefined && pair[1] !== ""
  )
  const search = new URLSearchParams(given).toString()
  return `#/${path.map(encodeURIComponent).join("/")}${search === "" ? "" : `?${search}`}`
}
