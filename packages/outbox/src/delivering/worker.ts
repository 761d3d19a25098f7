/** Who delivers, as it stands in the table and in the history: host and process. */
import { hostname } from "node:os"

export const workerName = `${hostname()}:${process.pid}`
