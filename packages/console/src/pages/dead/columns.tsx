/** A dead letter as a row. */
import type { DeadLetter } from "@zakops/admin/api/dead"
import { EventType } from "../../components/EventType.tsx"
import type { Column } from "../../components/Table.tsx"
import { Time } from "../../components/Time.tsx"

export const letterColumns: ReadonlyArray<Column<DeadLetter>> = [
  { title: "Event", cell: ({ eventType, schemaVersion }) => <EventType type={eventType} version={schemaVersion} /> },
  { title: "Error", wide: true, cell: ({ error }) => <span className="cut error-text" title={error}>{error}</span> },
  { title: "Died", cell: ({ diedAt }) => <Time at={diedAt} none="unknown" /> },
  { title: "Attempts", number: true, cell: ({ attempts, maxAttempts }) => `${attempts} / ${maxAttempts}` },
  {
    title: "Key",
    cell: ({ blocks, orderingKey }) =>
      orderingKey === null ? null : (
        <span className="mono cut">
          {orderingKey}
          {blocks && (
            <>
              {" "}
              <span className="warn">blocked</span>
            </>
          )}
        </span>
      )
  },
  {
    title: "Destination",
    desktop: true,
    cell: ({ destination }) => destination ?? <span className="faint">main</span>
  },
  { title: "Redrives", number: true, desktop: true, cell: ({ redrives }) => redrives },
  { title: "Created", desktop: true, cell: ({ createdAt }) => <Time at={createdAt} /> }
]
