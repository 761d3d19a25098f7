/** Asks for the token, where the server wants one. */
import type { FormEvent } from "react"
import { useState } from "react"
import { signIn, useSignedIn } from "../api/session.ts"
import { forgetAnswers } from "../live/usePolled.ts"

export const SignIn = () => {
  const [token, setToken] = useState("")
  const wrong = useSignedIn()
  const submit = (event: FormEvent) => {
    event.preventDefault()
    forgetAnswers()
    signIn(token)
  }
  return (
    <main className="sign-in">
      <form onSubmit={submit}>
        <h1>ZakOps Outbox</h1>
        <p>
          {wrong
            ? "The server does not know this token. Look at how the console was started, and try again."
            : "This server wants a token. It was set, or printed, where the console was started."}
        </p>
        <div className="field">
          <label htmlFor="token">Token</label>
          <input
            id="token"
            type="password"
            autoComplete="current-password"
            value={token}
            onChange={(event) => setToken(event.target.value)}
            autoFocus
            required
          />
        </div>
        {wrong && <p className="problem" role="alert">The token was refused.</p>}
        <button type="submit" className="primary">Sign in</button>
      </form>
    </main>
  )
}
