/** What a change of dead letters would meet. */
import type { Preview } from "@zakops/admin/api/dead"
import { count, plural } from "../../format/numbers.ts"

const most = 4

const groups = (title: string, all: Preview["byType"]) => (
  <div>
    <h3>{title}</h3>
    <ul>
      {all.slice(0, most).map(({ count: size, group }) => (
        <li key={group ?? ""}>
          <b>{count(size)}</b> <span className="cut">{group === null || group === "" ? "(none)" : group}</span>
        </li>
      ))}
      {all.length > most && <li className="faint">and {all.length - most} more</li>}
    </ul>
  </div>
)

export const PreviewOf = (
  { action, preview }: { readonly preview: Preview; readonly action: "redrive" | "discard" }
) => {
  const { byError, byType, decoding } = preview
  const unreadable = decoding === null ? 0 : decoding.newer + decoding.undecodable + decoding.unknownType
  return (
    <div className="preview">
      <p className="preview-count">
        <b>{count(preview.count)}</b> {preview.count === 1 ? "entry" : "entries"}
      </p>
      {preview.count > 0 && (
        <div className="preview-groups">{groups("By type", byType)}{groups("By error", byError)}</div>
      )}
      {action === "redrive" && decoding !== null && unreadable > 0 && (
        <div className="caution">
          <p>{plural(unreadable, "entry", "entries")} could not be read by this build and would fail again:</p>
          <ul>
            {decoding.examples.slice(0, 3).map(({ eventType, id, reason }) => (
              <li key={id}>
                <code>{eventType}</code> {reason}
              </li>
            ))}
          </ul>
        </div>
      )}
    </div>
  )
}
