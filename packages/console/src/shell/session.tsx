/** Who one is to the server, and what one may do: known to every page. */
import { createContext, useContext } from "react"
import type { Session } from "@zakops/admin/api/session"

export const SessionContext = createContext<Session | undefined>(undefined)

/** Undefined until the server has answered for the first time. */
export const useSession = (): Session | undefined => useContext(SessionContext)

/** Whether the buttons that change something are shown. The server decides for itself. */
export const useMayChange = (): boolean => useSession()?.mayChange ?? false
