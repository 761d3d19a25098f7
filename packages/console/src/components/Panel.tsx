/** A titled part of a page. */
import type { ReactNode } from "react"
import { useId } from "react"

interface Props {
  readonly title: string
  readonly aside?: ReactNode
  readonly children: ReactNode
  readonly className?: string
}

export const Panel = ({ aside, children, className, title }: Props) => {
  const name = useId()
  return (
    <section className={`panel ${className ?? ""}`} aria-labelledby={name}>
      <header>
        <h2 id={name}>{title}</h2>
        {aside !== undefined && <div className="aside">{aside}</div>}
      </header>
      {children}
    </section>
  )
}
