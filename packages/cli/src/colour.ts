/** Colours on a terminal, unless NO_COLOR is set (https://no-color.org). */
const codes = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1, dim: 2 } as const

const coloured = process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === ""

export const painted = (colour: keyof typeof codes, text: string): string =>
  coloured ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text
