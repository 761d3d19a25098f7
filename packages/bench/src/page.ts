/**
 * docs/benchmarks.md as a list of sections, one for each race: what was measured anew takes the place of what was measured before, and the
 * rest stays, each with when and on what it was measured.
 */

/** Of a race. */
export interface Section {
  readonly heading: string
  readonly text: string
}

const goals = "Goals"

export const headingOf = (race: string): string => `${race[0]?.toUpperCase()}${race.slice(1)}`

/** The sections of a page, but for its goals, which are read out of them. */
export const sectionsOf = (page: string): ReadonlyArray<Section> =>
  page.split(/^## /m).slice(1).flatMap((part) => {
    const [heading = "", ...lines] = part.split("\n")
    return heading === goals ? [] : [{ heading, text: lines.join("\n").trim() }]
  })

/** Each of the old ones in its place, as it was measured last; those that are new come last. */
export const merged = (old: ReadonlyArray<Section>, measured: ReadonlyArray<Section>): ReadonlyArray<Section> => [
  ...new Map([...old, ...measured].map((section) => [section.heading, section])).values()
]

/** The files that the sections show. */
export const chartsOf = (sections: ReadonlyArray<Section>): ReadonlySet<string> =>
  new Set(sections.flatMap(({ text }) => Array.from(text.matchAll(/\]\(charts\/([^)]+)\)/g), ([, file = ""]) => file)))

/** Tells how many of the goals were reached, and each that was not, behind `bullet`. */
export const tellGoals = (
  all: ReadonlyArray<{ readonly race: string; readonly verdict: string }>,
  bullet: string
): string => {
  const missed = all.filter(({ verdict }) => verdict.startsWith("NOT "))
  return [
    `${all.length - missed.length} of ${all.length} goals reached`,
    ...missed.map(({ race, verdict }) => `${bullet}${race}: ${verdict}`)
  ].join("\n")
}

const goalsOf = (sections: ReadonlyArray<Section>) =>
  sections.flatMap(({ heading, text }) =>
    text.split("\n").filter((line) => /^- (NOT )?reached: /.test(line))
      .map((line) => ({ race: heading, verdict: line.slice(2) }))
  )

export const toPage = (intro: string, sections: ReadonlyArray<Section>): string =>
  [
    intro.trim(),
    `## ${goals}\n\n${tellGoals(goalsOf(sections), "- ")}`,
    ...sections.map(({ heading, text }) => `## ${heading}\n\n${text}`)
  ].join("\n\n") + "\n"
