/** JSON as the command prints it: numbers of 64 bits as text, so that no parser rounds them. */

const plain = (_: string, value: unknown): unknown => typeof value === "bigint" ? String(value) : value

export const toJson = (value: unknown): string => JSON.stringify(value, plain, 2)

/** In one line, for output of which each line is a value. */
export const toJsonLine = (value: unknown): string => JSON.stringify(value, plain)
