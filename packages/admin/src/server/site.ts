/**
 * Whether a request is meant for this site and comes from it: against pages of other sites that name this address (DNS rebinding), or send
 * requests to it with the browser's help (CSRF). Pure.
 */

/** The name of a host without its port, and without the brackets of an IPv6 address. */
const nameOf = (host: string): string => host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1").toLowerCase()

const loopback = new Set(["localhost", "127.0.0.1", "::1"])

export interface Site {
  /** Beside this machine's own names. */
  readonly hosts: "any" | ReadonlyArray<string>
}

const isAllowed = ({ hosts }: Site, host: string): boolean =>
  hosts === "any" || loopback.has(nameOf(host)) ||
  hosts.some((one) => one.toLowerCase() === host.toLowerCase() || one.toLowerCase() === nameOf(host))

/** What is wrong with a request's headers for this site, in words; undefined where nothing is. `page`: somebody opens a page, and may come from anywhere. */
export const siteProblem = (
  site: Site,
  request: { readonly host: string; readonly headers: Headers; readonly page: boolean }
): string | undefined => {
  const { headers, host, page } = request
  if (!isAllowed(site, host)) {
    return `the host ${JSON.stringify(host.slice(0, 200))} is not one of this site: add it to CONSOLE_HOSTS`
  }
  const origin = headers.get("origin")
  if (origin !== null) {
    const from = URL.canParse(origin) ? new URL(origin).host : undefined
    const own = from !== undefined && (from.toLowerCase() === host.toLowerCase() ||
      (site.hosts !== "any" && site.hosts.length > 0 && !loopback.has(nameOf(from)) && isAllowed(site, from)))
    if (!own) {
      return `the request comes from ${
        JSON.stringify(origin.slice(0, 200))
      }, which is another site: add its host to CONSOLE_HOSTS`
    }
  }
  const fetched = headers.get("sec-fetch-site")
  return page || fetched === null || fetched === "same-origin" || fetched === "none"
    ? undefined
    : "the request was made by a page of another site"
}
