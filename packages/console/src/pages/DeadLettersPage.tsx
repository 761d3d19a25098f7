/** Dead letters: grouped, filtered, and redriven or discarded: those that are chosen, or all that match. */
import type { DeadSelection } from "@zakops/admin/api/dead"
import { useMemo, useState } from "react"
import { SelectFilter, TextFilter } from "../components/filters.tsx"
import { Page } from "../components/Page.tsx"
import { Pager } from "../components/Pager.tsx"
import { Problem } from "../components/Problem.tsx"
import { Table } from "../components/Table.tsx"
import { useChoice } from "../components/useChoice.ts"
import { countOf } from "../format/counts.ts"
import { plural } from "../format/numbers.ts"
import { usePolled } from "../live/usePolled.ts"
import { pick } from "../routing/pick.ts"
import { useMayChange } from "../shell/session.tsx"
import { ChangeDead } from "./dead/ChangeDead.tsx"
import { letterColumns } from "./dead/columns.tsx"
import { Groups } from "./dead/Groups.tsx"

const conditions = ["type", "error", "key", "destination", "olderThan", "newerThan"] as const

const ages = [["", "any time"], ["15m", "15 minutes"], ["1h", "1 hour"], ["1d", "1 day"], ["7d", "7 days"], [
  "30d",
  "30 days"
]] as const
const olderAges = ages.map(([value, words]) => [value, value === "" ? words : `${words} ago`] as const)

interface Asking {
  readonly action: "redrive" | "discard"
  readonly selection: DeadSelection
  readonly which: string
}

export const DeadLettersPage = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const filter = pick(query, conditions)
  const filtered = Object.keys(filter).length > 0
  const asked = { ...filter, ...pick(query, ["after"]) }
  const { data, error, refresh } = usePolled(`dead ${JSON.stringify(asked)}`, (api) => api.dead.list({ query: asked }))
  const { data: total } = usePolled(
    `dead count ${JSON.stringify(filter)}`,
    (api) => api.dead.count({ query: filter }),
    5000
  )
  const ids = useMemo(() => data?.items.map(({ id }) => id) ?? [], [data])
  const choice = useChoice(ids)
  const mayChange = useMayChange()
  const [asking, setAsking] = useState<Asking | undefined>()

  const selected = choice.chosen.size
  const ask = (action: "redrive" | "discard") =>
    setAsking(
      selected > 0
        ? { action, selection: { ids: [...choice.chosen] }, which: plural(selected, "chosen dead letter") }
        : filtered
        ? { action, selection: filter, which: "all that match the filter" }
        : { action, selection: "all", which: "every dead letter" }
    )
  const target = selected > 0 ? `${selected} chosen` : filtered ? "all matching" : "all"

  return (
    <Page
      title="Dead letters"
      detail={total !== undefined && <span className="faint">{countOf(total)}{filtered ? " match" : ""}</span>}
      actions={mayChange && data !== undefined && data.items.length > 0 && (
        <>
          <button type="button" onClick={() => ask("discard")}>Discard {target}…</button>
          <button type="button" className="primary" onClick={() => ask("redrive")}>Redrive {target}…</button>
        </>
      )}
    >
      <form
        className="filters"
        role="search"
        aria-label="Filter dead letters"
        onSubmit={(event) => event.preventDefault()}
      >
        <TextFilter name="error" label="Error contains" value={query["error"]} first />
        <TextFilter name="type" label="Event type" value={query["type"]} />
        <TextFilter name="key" label="Ordering key" value={query["key"]} />
        <TextFilter name="destination" label="Destination" value={query["destination"]} placeholder="of a route" />
        <SelectFilter name="newerThan" label="Died in the last" value={query["newerThan"]} options={ages} />
        <SelectFilter name="olderThan" label="Died more than" value={query["olderThan"]} options={olderAges} />
      </form>
      <Groups query={query} filter={filter} />
      <Problem error={error} again={refresh} />
      {data === undefined ? error === undefined && <p className="empty">…</p> : (
        <>
          <Table
            caption="Dead letters"
            columns={letterColumns}
            rows={data.items}
            id={({ id }) => id}
            to={({ id }) => ["entries", id]}
            choice={mayChange ? choice : undefined}
            empty={filtered
              ? "No dead letter matches."
              : "No dead letters. All that was emitted is delivered, or still tried."}
          />
          <Pager next={data.next} />
        </>
      )}
      {asking !== undefined && <ChangeDead {...asking} close={() => setAsking(undefined)} done={choice.clear} />}
    </Page>
  )
}
