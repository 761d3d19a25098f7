/** JSON text, indented without being parsed into numbers: a number of 64 bits keeps all its digits. */

/** Two spaces a level. Text that is no JSON comes back as it is. */
export const indent = (text: string): string => {
  let out = ""
  let depth = 0
  let index = 0
  const line = () => `\n${"  ".repeat(Math.max(0, depth))}`
  while (index < text.length) {
    const character = text[index] as string
    if (character === "\"") {
      const end = endOfString(text, index)
      out += text.slice(index, end)
      index = end
      continue
    }
    if (character === "{" || character === "[") {
      const close = character === "{" ? "}" : "]"
      const next = skipSpace(text, index + 1)
      if (text[next] === close) {
        out += character + close
        index = next + 1
        continue
      }
      depth++
      out += character + line()
    } else if (character === "}" || character === "]") {
      depth--
      out += line() + character
    } else if (character === ",") out += `,${line()}`
    else if (character === ":") out += ": "
    else if (!isSpace(character)) out += character
    index++
  }
  return out
}

const isSpace = (character: string | undefined) =>
  character === " " || character === "\n" || character === "\t" || character === "\r"

const skipSpace = (text: string, from: number) => {
  let index = from
  while (isSpace(text[index])) index++
  return index
}

const endOfString = (text: string, from: number) => {
  let index = from + 1
  while (index < text.length && text[index] !== "\"") index += text[index] === "\\" ? 2 : 1
  return Math.min(index + 1, text.length)
}
