/**
 * JSON with its colours, as text nodes: whatever is in it, nothing of it becomes markup.
 *
 * It is given as text and shown as such, so that a number of 64 bits keeps all its digits.
 */
import type { ReactNode } from "react"

const token = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** Beyond this the colours cost more than they help. */
const mostColoured = 200_000

const coloured = (text: string): ReadonlyArray<ReactNode> => {
  if (text.length > mostColoured) return [text]
  const parts: Array<ReactNode> = []
  let end = 0
  for (const match of text.matchAll(token)) {
    if (match.index > end) parts.push(text.slice(end, match.index))
    const [whole, string, colon, word] = match
    if (string !== undefined && colon !== undefined) {
      parts.push(<span key={match.index} className="json-name">{string}</span>, colon)
    } else {
      const kind = string !== undefined ? "json-string" : word !== undefined ? "json-word" : "json-number"
      parts.push(<span key={match.index} className={kind}>{whole}</span>)
    }
    end = match.index + whole.length
  }
  parts.push(text.slice(end))
  return parts
}

export const Json = ({ label, text }: { readonly label: string; readonly text: string }) => (
  <pre className="json" tabIndex={0} role="region" aria-label={label}>{coloured(text)}</pre>
)
