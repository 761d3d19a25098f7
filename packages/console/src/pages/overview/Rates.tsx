/** What comes in and goes out over time, and what goes wrong, all destinations together or one of them. */
import type { Rates as Answer } from "@zakops/admin/api/overview"
import { useMemo } from "react"
import type { Series } from "../../components/Chart.tsx"
import { Chart } from "../../components/Chart.tsx"
import { SelectFilter, TabFilter } from "../../components/filters.tsx"
import { Panel } from "../../components/Panel.tsx"
import { usePolled } from "../../live/usePolled.ts"

const spans = [["900", "15 min"], ["3600", "1 h"], ["21600", "6 h"], ["86400", "24 h"]] as const
const usual = "3600"

type Kind = Answer["series"][number]["kind"]

/** The API leaves out the step that is under way, and ends with the last whole one. */
const timesOf = (rates: Answer | undefined): ReadonlyArray<number> => rates?.times ?? []

/** The sum over destinations; null where none of them was counted. */
const total = (
  rates: Answer | undefined,
  kind: Kind,
  destination: string | undefined
): ReadonlyArray<number | null> => {
  const found =
    rates?.series.filter((series) =>
      series.kind === kind && (destination === undefined || kind === "emitted" || series.destination === destination)
    ) ?? []
  return timesOf(rates).map((_, index) => {
    const values = found.flatMap(({ perSecond }) => perSecond[index] ?? [])
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0)
  })
}

export const Rates = ({ query }: { readonly query: Readonly<Record<string, string>> }) => {
  const last = spans.some(([value]) => value === query["last"]) ? query["last"] as string : usual
  const destination = query["destination"]
  const { data } = usePolled(`rates ${last}`, (api) => api.overview.rates({ query: { last: Number(last) } }), 5000)
  const destinations = [...new Set(data?.series.map((series) => series.destination).filter((name) => name !== ""))]
  const times = useMemo(() => timesOf(data), [data])
  const flow = useMemo((): ReadonlyArray<Series> => [
    { name: "emitted", colour: "--processing", values: total(data, "emitted", destination) },
    { name: "delivered", colour: "--delivered", values: total(data, "delivered", destination), filled: true }
  ], [data, destination])
  const trouble = useMemo((): ReadonlyArray<Series> => [
    { name: "failed", colour: "--pending", values: total(data, "failed", destination) },
    { name: "dead", colour: "--dead", values: total(data, "dead", destination), filled: true },
    { name: "fenced", colour: "--discarded", values: total(data, "fenced", destination) }
  ], [data, destination])
  const choices = (
    <>
      {destinations.length > 1 && (
        <SelectFilter
          name="destination"
          label="Destination"
          value={destination}
          options={[["", "all"], ...destinations.map((name) => [name, name] as const)]}
        />
      )}
      <TabFilter name="last" label="How far back" value={last} options={spans} />
    </>
  )
  return (
    <>
      <Panel title="In and out" aside={choices} className="rates">
        <Chart times={times} series={flow} label="Events emitted and delivered" unit="per second" />
      </Panel>
      <Panel title="Trouble" className="trouble">
        <Chart times={times} series={trouble} label="Attempts that failed, and entries that died" unit="per second" />
      </Panel>
    </>
  )
}
