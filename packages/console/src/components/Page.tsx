/** The frame of every page: its name as the heading and in the tab, what can be done, and then the page. */
import type { ReactNode } from "react"
import { useEffect } from "react"

interface Props {
  readonly title: string
  /** Shown beside the title; the title alone names the tab. */
  readonly detail?: ReactNode
  readonly actions?: ReactNode
  readonly children: ReactNode
}

export const Page = ({ actions, children, detail, title }: Props) => {
  useEffect(() => {
    document.title = `${title} · ZakOps Outbox`
  }, [title])
  return (
    <>
      <header className="page-head">
        <h1 tabIndex={-1}>{title}</h1>
        {detail !== undefined && <div className="page-detail">{detail}</div>}
        {actions !== undefined && <div className="page-actions">{actions}</div>}
      </header>
      {children}
    </>
  )
}
