import { defineConfig } from "vitest/config"

/** What loads the whole machine, or measures it: beside others they would fail, or make others fail. */
const alone = ["torture/**/*.test.ts", "scaling/**/*.test.ts"]

export default defineConfig({
  test: {
    root: import.meta.dirname,
    globalSetup: ["support/postgres.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "beside each other",
          include: ["**/*.test.ts"],
          exclude: alone,
          // A file has a database of its own; two at a time keep the machine busy without starving the timing of signals.
          maxWorkers: 2,
          sequence: { groupOrder: 0 }
        }
      },
      {
        extends: true,
        test: { name: "alone", include: alone, maxWorkers: 1, sequence: { groupOrder: 1 } }
      }
    ]
  }
})
