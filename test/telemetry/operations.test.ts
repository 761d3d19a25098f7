/** Dashboard and alert rules: their queries can be parsed, ask only for metrics and labels that exist, and every alert is in the runbook. */
import { assert, describe, it } from "@effect/vitest"
import { metrics, prometheusName } from "@zakops/telemetry"
import { parser } from "@prometheus-io/lezer-promql"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parse, parseAllDocuments } from "yaml"

const docs = join(import.meta.dirname, "..", "..", "docs")
const read = (file: string) => readFileSync(join(docs, file), "utf8")

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}
const { groups } = parse(read("operations/alerts.yaml")) as {
  readonly groups: ReadonlyArray<{ readonly name: string; readonly rules: ReadonlyArray<Rule> }>
}
const alerts = groups.flatMap(({ rules }) => rules)

interface Panel {
  readonly title: string
  readonly type: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
}
const { panels } = JSON.parse(read("operations/dashboard.json")) as { readonly panels: ReadonlyArray<Panel> }

// Grafana puts a duration there.
const filled = (expr: string) => expr.replaceAll("$__rate_interval", "5m")

const queries = [
  ...alerts.map(({ alert, expr }) => ({ name: alert, expr })),
  ...panels.flatMap(({ targets = [], title }) => targets.map(({ expr }) => ({ name: title, expr: filled(expr) })))
]

/** What a query selects and by what it groups; fails where it is no PromQL. */
const examine = (expr: string) => {
  const names: Array<string> = []
  const labels: Array<string> = []
  parser.parse(expr).iterate({
    enter: (node) => {
      const text = expr.slice(node.from, node.to)
      if (node.type.isError) assert.fail(`no PromQL at ${node.from}: ${expr}`)
      if (node.name === "Identifier" && node.node.parent?.name === "VectorSelector") names.push(text)
      if (node.name === "LabelName") labels.push(text)
    }
  })
  return { names, labels }
}

/** The names under which each metric is there, with those of a histogram's parts. */
const existing = new Set(metrics.flatMap((metric) => {
  const name = prometheusName(metric.id)
  return metric.type === "Histogram" ? ["_bucket", "_sum", "_count"].map((part) => name + part) : [name]
}))

/** What the metrics are labelled with, `le` of histograms, and what Prometheus adds. */
const known = new Set([
  "destination",
  "outcome",
  "state",
  "channel",
  "table",
  "consumer",
  "subscription",
  "messaging_destination_name",
  "messaging_consumer_group_name",
  "error_type",
  "le",
  "instance"
])

describe("dashboard and alert rules", () => {
  it.each(queries)("$name asks in PromQL for what exists", ({ expr }) => {
    const { labels, names } = examine(expr)
    assert.isAbove(names.length, 0, expr)
    assert.deepStrictEqual(names.filter((name) => !existing.has(name)), [])
    assert.deepStrictEqual(labels.filter((label) => !known.has(label)), [])
  })

  it("would notice a query that is none, and a metric that is not there", () => {
    assert.throws(() => examine("sum by (a (b)"))
    assert.deepStrictEqual(examine("rate(no_such_total[5m])").names, ["no_such_total"])
  })

  it("show every metric", () => {
    const shown = new Set(
      panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => examine(filled(expr)).names))
    )
    const hidden = metrics.map(({ id }) => prometheusName(id)).filter((name) =>
      !shown.has(name) && !shown.has(`${name}_bucket`)
    )
    assert.deepStrictEqual(hidden, [])
  })

  it.each(alerts)("$alert has a severity, a summary, what to do, and a place in the runbook", (rule) => {
    assert.include(["info", "warning", "critical"], rule.labels["severity"])
    assert.isNotEmpty(rule.annotations["summary"])
    assert.isNotEmpty(rule.annotations["action"])
    assert.match(read("operations.md"), new RegExp(`^### ${rule.alert}$`, "m"))
  })

  it("have no two alerts or panels of one name, and no two panels in one place", () => {
    for (const names of [alerts.map(({ alert }) => alert), panels.map(({ title }) => title)]) {
      assert.lengthOf(new Set(names), names.length)
    }
    for (const [index, one] of panels.entries()) {
      for (const other of panels.slice(index + 1)) {
        const [a, b] = [one.gridPos, other.gridPos]
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
        assert.isTrue(apart, `${one.title} and ${other.title}`)
      }
    }
  })
})

describe("the manifests", () => {
  const worker = /zakops[", ]+worker|\[worker|"worker"/

  it("for Kubernetes are YAML, start a worker that serves, and probe what it serves", () => {
    const objects = parseAllDocuments(read("operations/kubernetes.yaml")).map((document) => {
      assert.deepStrictEqual(document.errors, [])
      return document.toJS() as { readonly kind: string }
    })
    assert.deepStrictEqual(objects.map(({ kind }) => kind), [
      "Job",
      "Deployment",
      "PodDisruptionBudget",
      "NetworkPolicy"
    ])
    const text = JSON.stringify(objects)
    assert.deepStrictEqual([...new Set([...text.matchAll(/"path":"([^"]+)"/g)].map(([, path]) => path))].toSorted(), [
      "/livez",
      "/readyz"
    ])
    assert.include(text, `["worker","--port","9464","--host","0.0.0.0"]`)
  })

  it.each(["zakops-worker.service", "Containerfile", "kubernetes.yaml"])("%s runs a worker and is linked", (file) => {
    assert.match(read(`operations/${file}`), worker)
    assert.include(read("operations.md"), `(operations/${file})`)
  })
})
