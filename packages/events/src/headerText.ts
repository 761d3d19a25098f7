/** Text in headers that hold printable ASCII only: percent-encoded, as the HTTP binding of CloudEvents says (section 3.1.3.2). */

// Space, quote, percent, and all that is not printable ASCII. A pair of surrogates is one character.
const special = /[\ud800-\udbff][\udc00-\udfff]|[^!#$&-~]/g

const anySpecial = /[^!#$&-~]/

/** Writes `text` so that a header can hold it. Half of a surrogate pair becomes U+FFFD. */
export const toHeaderText = (text: string): string =>
  anySpecial.test(text)
    ? text.replaceAll(
      special,
      (character) => Array.from(encoder.encode(character), (byte) => `%${hex(byte)}`).join("")
    )
    : text

const encoder = new TextEncoder()
// A byte order mark is a character like any other.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, "0")

/** Reads what `toHeaderText` wrote. Sequences that are no UTF-8 become U+FFFD; a percent sign without two digits stands for itself. */
export const fromHeaderText = (text: string): string =>
  text.includes("%")
    ? text.replaceAll(
      /(?:%[0-9a-f]{2})+/gi,
      (bytes) => decoder.decode(Uint8Array.from(bytes.slice(1).split("%"), (byte) => Number.parseInt(byte, 16)))
    )
    : text
