/**
 * How the events of a type go out while the outbox is being introduced: `direct`, as before there was an outbox; `shadow`, directly, with
 * a copy through the outbox to be compared; `outbox`.
 */

export type Mode = "direct" | "shadow" | "outbox"

/** The mode by event type; `*` stands for all types that are not named. What is named nowhere goes through the outbox. */
export type Modes = Readonly<Record<string, Mode>>

const isMode = (text: string): text is Mode => text === "direct" || text === "shadow" || text === "outbox"

/** What `OUTBOX_MODES` may say. */
export const allowedModes =
  "a list like deal.created=shadow,deal.won=direct,*=outbox: each type once, with direct, shadow or outbox"

/** Reads such a list; undefined where it is none. */
export const parseModes = (text: string): Modes | undefined => {
  const modes = new Map<string, Mode>()
  if (text.trim() === "") return {}
  for (const item of text.split(",")) {
    const at = item.lastIndexOf("=")
    const type = item.slice(0, Math.max(at, 0)).trim()
    const mode = item.slice(at + 1).trim()
    if (type === "" || Array.from(type).length > 100 || !isMode(mode) || modes.has(type)) return undefined
    modes.set(type, mode)
  }
  return Object.fromEntries(modes)
}

/** The mode of events of `type`: `direct` for all where the outbox is switched off. */
export const modeOf = (settings: { readonly enabled: boolean; readonly modes: Modes }, type: string): Mode => {
  const { enabled, modes } = settings
  if (!enabled) return "direct"
  if (Object.hasOwn(modes, type)) return modes[type] ?? "outbox"
  return Object.hasOwn(modes, "*") ? modes["*"] ?? "outbox" : "outbox"
}
