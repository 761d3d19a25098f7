/** A link to a page of the console: an ordinary one, that can be opened in another tab. */
import type { ReactNode } from "react"
import { format } from "../routing/route.ts"

interface Props {
  readonly path: ReadonlyArray<string>
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly children: ReactNode
  readonly className?: string
  /** What Enter on the row opens. */
  readonly open?: boolean
  readonly current?: boolean
  readonly title?: string
}

export const Link = ({ children, className, current, open, path, query, title }: Props) => (
  <a
    href={format(path, query)}
    className={className}
    title={title}
    {...(open === true ? { "data-open": "" } : {})}
    {...(current === true ? { "aria-current": "page" as const } : {})}
  >
    {children}
  </a>
)
