/** What has just been done. */
import { dismiss, useNotices } from "./notices.ts"

export const Notices = () => {
  const notices = useNotices()
  return (
    <div className="notices" role="status" aria-live="polite">
      {notices.map(({ failed, id, text }) => (
        <div key={id} className={failed ? "notice failed" : "notice"}>
          <p>{text}</p>
          <button type="button" className="quiet" aria-label="Dismiss" onClick={() => dismiss(id)}>×</button>
        </div>
      ))}
    </div>
  )
}
