/** The web console of the outbox. Starts in the page that the server gives. */
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { takeTokenFromAddress, useRefused } from "./api/session.ts"
import { Frame } from "./shell/Frame.tsx"
import { SignIn } from "./shell/SignIn.tsx"
import { restoreTheme } from "./shell/theme.ts"

restoreTheme()
takeTokenFromAddress()

const Console = () => useRefused() ? <SignIn /> : <Frame />

const home = document.getElementById("console")
if (home !== null) {
  createRoot(home).render(
    <StrictMode>
      <Console />
    </StrictMode>
  )
}
