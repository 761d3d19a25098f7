/**
 * Lines over time, drawn by uPlot. Below it the last values stand in words, so that nobody needs to see the lines to know them.
 *
 * Colours are those of the page, looked up anew when it turns dark or light: a canvas knows no CSS variables.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "react"
import uPlot from "uplot"
import { perSecond, short } from "../format/numbers.ts"
import { clock } from "../format/times.ts"
import { useDark } from "../shell/theme.ts"

export interface Series {
  readonly name: string
  /** A CSS variable, `--delivered`. */
  readonly colour: string
  readonly values: ReadonlyArray<number | null>
  readonly filled?: boolean
}

interface Props {
  /** Seconds since 1970, rising. */
  readonly times: ReadonlyArray<number>
  readonly series: ReadonlyArray<Series>
  readonly label: string
  readonly unit: string
  readonly height?: number
}

const resolver = () => {
  const probe = document.createElement("span")
  document.body.append(probe)
  const resolve = (variable: string) => {
    probe.style.color = `var(${variable})`
    return getComputedStyle(probe).color
  }
  return { resolve, end: () => probe.remove() }
}

const faded = (colour: string, alpha: number) =>
  colour.replace(
    /^rgba?\(([^)]+)\)$/,
    (_, parts: string) => `rgb(${parts.split(/[,\s/]+/).slice(0, 3).join(" ")} / ${alpha})`
  )

const optionsOf = (width: number, height: number, series: ReadonlyArray<Series>): uPlot.Options => {
  const { end, resolve } = resolver()
  const axis = {
    stroke: resolve("--text-faint"),
    font: "11px 'Inter Variable', system-ui, sans-serif",
    grid: { stroke: resolve("--line"), width: 1 },
    ticks: { show: false }
  }
  const options: uPlot.Options = {
    width,
    height,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 72,
        size: 26,
        values: (_, splits) => splits.map((at) => clock(new Date(at * 1000)).slice(0, 5))
      },
      { ...axis, size: 44, space: 32, values: (_, splits) => splits.map(short) }
    ],
    series: [
      {},
      ...series.map(({ colour, filled, name }) => {
        const stroke = resolve(colour)
        return {
          label: name,
          stroke,
          width: 1.5,
          points: { show: false },
          spanGaps: false,
          ...(filled === true ? { fill: faded(stroke, 0.1) } : {})
        }
      })
    ]
  }
  end()
  return options
}

export function Chart({ height = 200, label, series, times, unit }: Props) {
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const dark = useDark()
  const [at, setAt] = useState<number | undefined>()
  const data = [times, ...series.map(({ values }) => values)] as unknown as uPlot.AlignedData
  const latest = useRef({ data, series })
  useLayoutEffect(() => {
    latest.current = { data, series }
  })
  const shape = series.map(({ colour, name }) => `${name} ${colour}`).join("|")

  useEffect(() => {
    const home = frame.current
    if (home === null) return
    const options = optionsOf(home.clientWidth || 600, height, latest.current.series)
    const made = new uPlot(
      { ...options, hooks: { setCursor: [(u) => setAt(u.cursor.idx ?? undefined)] } },
      latest.current.data,
      home
    )
    plot.current = made
    const watcher = new ResizeObserver(() => made.setSize({ width: home.clientWidth, height }))
    watcher.observe(home)
    return () => {
      watcher.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [dark, height, shape])

  useEffect(() => plot.current?.setData(latest.current.data), [times, series])

  const shown = at ?? times.length - 1
  const time = times[shown]
  return (
    <figure className="chart" aria-label={label}>
      <figcaption className="legend">
        {series.map(({ colour, name, values }) => (
          <span key={name} className="legend-item" data-colour={colour}>
            <span className="legend-mark" aria-hidden="true" />
            {name} <b>{values[shown] == null ? "–" : perSecond(values[shown])}</b>
          </span>
        ))}
        <span className="legend-time">
          {unit}
          {time !== undefined && at !== undefined && ` · ${clock(new Date(time * 1000))}`}
        </span>
      </figcaption>
      <div ref={frame} className="chart-frame" aria-hidden="true" />
    </figure>
  )
}
