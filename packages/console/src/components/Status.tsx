/** The state of an entry, a breaker or a finding: always a word, with a colour beside it. */
interface Props {
  readonly state: string
  readonly children?: string
}

/** States that mean the same share a colour. */
const tones: Readonly<Record<string, string>> = {
  pending: "pending",
  waiting: "pending",
  behind: "pending",
  held: "pending",
  processing: "processing",
  delivered: "delivered",
  dead: "dead",
  discarded: "discarded",
  closed: "delivered",
  open: "dead",
  probing: "pending",
  listening: "delivered",
  polling: "pending",
  live: "delivered",
  building: "processing",
  "rebuild asked for": "processing",
  stopped: "dead",
  retired: "discarded",
  ok: "delivered",
  notice: "processing",
  warning: "pending",
  serious: "dead",
  paused: "pending",
  running: "delivered"
}

export const Status = ({ children, state }: Props) => (
  <span className={`status ${tones[state] ?? "discarded"}`}>{children ?? state}</span>
)
