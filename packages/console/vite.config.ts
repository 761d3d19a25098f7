/**
 * How the console is built: into packages/admin/dist/console, with relative addresses only, so that it works under any path, and nothing
 * inline, so that it works under a policy that allows scripts, styles and fonts from its own origin alone.
 */
import react from "@vitejs/plugin-react"
import { join } from "node:path"
import { defineConfig } from "vite"

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  logLevel: "warn",
  plugins: [react()],
  build: {
    outDir: join(import.meta.dirname, "..", "admin", "dist", "console"),
    emptyOutDir: true,
    target: "es2024",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // Effect's schemas and React in one file of some 600 kB: it comes from where the API is, mostly from the same machine.
    chunkSizeWarningLimit: 2000
  }
})
