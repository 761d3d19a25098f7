/** Opens an entry by its id, or that of its event, as it stands in a log or a ticket. */
import type { FormEvent } from "react"
import { useState } from "react"
import { uuid } from "../../routing/pick.ts"
import { go } from "../../routing/useRoute.ts"

export const EntryFinder = () => {
  const [id, setId] = useState("")
  const given = id.trim()
  const wrong = given !== "" && !uuid.test(given)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (uuid.test(given)) go(["entries", given])
  }
  return (
    <form className="finder" role="search" aria-label="Open an entry" onSubmit={submit}>
      <label htmlFor="finder" className="unseen">Id of an entry or event</label>
      <input
        id="finder"
        type="search"
        className="mono"
        value={id}
        placeholder="Open by id"
        autoComplete="off"
        spellCheck={false}
        aria-invalid={wrong}
        onChange={(event) => setId(event.target.value)}
      />
      <button type="submit" disabled={given === "" || wrong}>Open</button>
    </form>
  )
}
