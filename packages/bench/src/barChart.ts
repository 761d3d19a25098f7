/** A bar for each contestant, as SVG that reads on a light and on a dark page. */
const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/** A number as one reads it: no more digits than mean something. */
export const told = (value: number): string =>
  Number.isNaN(value)
    ? "none"
    : value >= 100
    ? Math.round(value).toLocaleString("en")
    : value.toLocaleString("en", { maximumSignificantDigits: 3 })

const rowHeight = 36
const labelWidth = 190
const barWidth = 400

export const barChart = (unit: string, bars: ReadonlyArray<readonly [label: string, value: number]>): string => {
  const most = Math.max(...bars.map(([, value]) => value))
  const height = bars.length * rowHeight + 10
  const rows = bars.map(([label, value], index) => {
    const y = index * rowHeight + 8
    const width = Math.max(1, value / most * barWidth)
    return `  <text x="${labelWidth - 10}" y="${y + 17}" text-anchor="end">${escape(label)}</text>
  <rect x="${labelWidth}" y="${y}" width="${width.toFixed(1)}" height="${rowHeight - 12}" rx="3" fill="${
      index === 0 ? "#2f6fde" : "#8a94a6"
    }"/>
  <text x="${labelWidth + width + 8}" y="${y + 17}">${told(value)} ${escape(unit)}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${
    labelWidth + barWidth + 160
  } ${height}" font-family="sans-serif" font-size="14" fill="#77808f">
${rows.join("\n")}
</svg>
`
}
