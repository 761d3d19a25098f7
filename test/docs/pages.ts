/** The pages of the documentation, and the code in them. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

export const root = join(import.meta.dirname, "..", "..")

const inDocs = readdirSync(join(root, "docs")).filter((file) => file.endsWith(".md")).map((file) => `docs/${file}`)

export const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ...inDocs]
  .map((file) => ({ file, text: readFileSync(join(root, file), "utf8") }))

/** The blocks in `language`, page by page. */
export const blocksOf = (language: string) =>
  pages.flatMap(({ file, text }) =>
    [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, code = ""], index) => ({
      name: `block ${index + 1} of ${file}`,
      code
    }))
  )
