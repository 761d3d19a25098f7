/** The headers of every answer: nothing is kept by others, shown in frames, guessed at, or loaded from elsewhere. */

export const common: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin"
}

/** Of what is not a page: nothing may be loaded by it. */
export const dataPolicy = "default-src 'none'; frame-ancestors 'none'"

/** Of the console's page: its own scripts, styles, fonts and images, and requests to where it comes from. Nothing inline. */
export const consolePolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Of the API's docs page, whose scripts stand in it and are named by their digests. */
export const docsPolicy = (digests: ReadonlyArray<string>): string =>
  `default-src 'none'; script-src ${
    digests.map((digest) => `'sha256-${digest}'`).join(" ")
  }; style-src 'unsafe-inline'; ` +
  "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
