/** A metric by its labels: looked up by what they say, instead of being made anew each time. */
import * as Metric from "effect/Metric"

/** Labels have few values, so what is kept is small. Attributes of the metric itself, its unit say, stay. */
export const labelled = <Input, State>(metric: Metric.Metric<Input, State>) => {
  const made = new Map<string, Metric.Metric<Input, State>>()
  return (labels: Readonly<Record<string, string>>): Metric.Metric<Input, State> => {
    const key = JSON.stringify(labels)
    const known = made.get(key)
    if (known !== undefined) return known
    const labelled = Metric.withAttributes(metric, labels)
    made.set(key, labelled)
    return labelled
  }
}
