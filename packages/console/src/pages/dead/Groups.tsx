/** Dead letters in groups; a group narrows the filter down to its letters. */
import type { DeadGroup } from "@zakops/admin/api/dead"
import { masked } from "@zakops/admin/api/values"
import { TabFilter } from "../../components/filters.tsx"
import { Link } from "../../components/Link.tsx"
import { Panel } from "../../components/Panel.tsx"
import { Problem } from "../../components/Problem.tsx"
import { Time } from "../../components/Time.tsx"
import { commonText } from "../../format/errors.ts"
import { count } from "../../format/numbers.ts"
import { usePolled } from "../../live/usePolled.ts"

const groupings = [["", "type and error"], ["type", "type"], ["error", "error"], ["key", "key"], [
  "age",
  "age"
]] as const
type By = "type-error" | "type" | "error" | "key" | "age"

const filterOf = (by: By, { error, group }: DeadGroup): Readonly<Record<string, string | undefined>> | undefined => {
  // Nobody can ask for an error that is masked.
  switch (by) {
    case "type":
      return group === null || group === "" ? undefined : { type: group }
    case "error":
      return group === masked ? undefined : { error: commonText(group ?? "") }
    case "key":
      return group === null ? undefined : { key: group }
    case "type-error":
      return { type: group ?? undefined, ...error !== masked && { error: commonText(error ?? "") } }
    case "age":
      return undefined
  }
}

interface Props {
  readonly query: Readonly<Record<string, string>>
  readonly filter: Readonly<Record<string, string>>
}

export const Groups = ({ filter, query }: Props) => {
  const chosen = groupings.find(([value]) => value === query["by"])?.[0] ?? ""
  const by: By = chosen === "" ? "type-error" : chosen
  const { data, error } = usePolled(
    `dead groups ${by} ${JSON.stringify(filter)}`,
    (api) => api.dead.groups({ query: { by, ...filter } }),
    5000
  )
  if (data !== undefined && data.groups.length === 0) return null
  const most = Math.max(1, ...data?.groups.map((group) => group.count) ?? [])
  return (
    <Panel title="Groups" aside={<TabFilter name="by" label="Group by" value={chosen} options={groupings} />}>
      <Problem error={data === undefined ? error : undefined} />
      <ol className="bars">
        {data?.groups.slice(0, 8).map((group) => {
          const narrower = filterOf(by, group)
          const name = group.group === null || group.group === "" ? "(none)" : group.group
          const words = (
            <>
              <span className="bar-name" title={group.error ?? name}>
                {name}
                {group.error !== null && (
                  <>
                    {" "}
                    <span className="error-text">{group.error}</span>
                  </>
                )}
              </span>
              <span className="bar-count">{count(group.count)}</span>
              <span className="bar-time">
                <Time at={group.newest} />
              </span>
              <meter className="bar" min={0} max={most} value={group.count} aria-hidden="true" />
            </>
          )
          return (
            <li key={`${name} ${group.error ?? ""}`}>
              {narrower === undefined
                ? <div className="bar-row">{words}</div>
                : <Link path={["dead"]} query={{ ...query, after: undefined, ...narrower }}>{words}</Link>}
            </li>
          )
        })}
      </ol>
      {data !== undefined && (data.sampled || data.groups.length > 8) && (
        <p className="faint footnote">
          {data.groups.length > 8 && `${data.groups.length - 8} smaller groups are not shown. `}
          {data.sampled && "Of the latest dead letters; there are more."}
        </p>
      )}
    </Panel>
  )
}
