/** Counts as the server gives them: exact, cut off at a limit, or estimated. */
import type { Count } from "@zakops/admin/api/values"
import { count, short } from "./numbers.ts"

/** "1,234", "10,000+", or "≈ 1.2M", as it is no more exact than that. */
export const countOf = ({ kind, value }: Count): string =>
  kind === "exact" ? count(value) : kind === "atLeast" ? `${count(value)}+` : `≈ ${short(Number(value.toPrecision(2)))}`
