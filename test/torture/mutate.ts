/** Loaded before anything else, it reads the product with the mutation that TORTURE_MUTATION names. */
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"
import { mutate, mutations } from "./mutations.ts"

const name = process.env["TORTURE_MUTATION"] ?? ""
const mutation = mutations[name]
if (mutation === undefined) throw new Error(`there is no mutation ${JSON.stringify(name)}`)

const { changes } = mutation

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context)
    if (!url.startsWith("file:") || loaded.source === undefined || loaded.source === null) return loaded
    const path = fileURLToPath(url)
    if (!changes.some(({ module }) => path.endsWith(module))) return loaded
    const source = typeof loaded.source === "string" ? loaded.source : new TextDecoder().decode(loaded.source)
    return { ...loaded, source: mutate(changes, path, source) }
  }
})
