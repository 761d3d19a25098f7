/** Fields that write what is entered into the address, where the page reads it. */
import { useEffect, useId, useRef, useState } from "react"
import { setQuery } from "../routing/useRoute.ts"

interface FieldProps {
  readonly name: string
  readonly label: string
  readonly value: string | undefined
  readonly placeholder?: string
  /** The field that `/` goes to. */
  readonly first?: boolean
  /** Options to choose from while one types. */
  readonly known?: ReadonlyArray<string>
}

/** Milliseconds without a letter, after which what was typed is looked for. */
const typingPause = 250

/** A change of a filter begins at the first page. */
const change = (name: string, value: string) => setQuery({ [name]: value, after: undefined })

export function TextFilter({ first = false, known, label, name, placeholder, value = "" }: FieldProps) {
  const id = useId()
  const [typed, setTyped] = useState(value)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => setTyped(value), [value])
  useEffect(() => () => clearTimeout(timer.current), [])
  const write = (text: string) => {
    clearTimeout(timer.current)
    change(name, text.trim())
  }
  return (
    <div className="filter">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="search"
        value={typed}
        placeholder={placeholder}
        autoComplete="off"
        spellCheck={false}
        list={known === undefined ? undefined : `${id}-known`}
        {...(first ? { "data-filter": "" } : {})}
        onChange={(event) => {
          const text = event.target.value
          setTyped(text)
          clearTimeout(timer.current)
          timer.current = setTimeout(() => write(text), typingPause)
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") write(typed)
        }}
      />
      {known !== undefined && (
        <datalist id={`${id}-known`}>{known.map((option) => <option key={option} value={option} />)}</datalist>
      )}
    </div>
  )
}

interface ChoiceProps {
  readonly name: string
  readonly label: string
  readonly value: string | undefined
  readonly options: ReadonlyArray<readonly [value: string, label: string]>
}

export function SelectFilter({ label, name, options, value = "" }: ChoiceProps) {
  const id = useId()
  return (
    <div className="filter">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => change(name, event.target.value)}>
        {options.map(([option, words]) => <option key={option} value={option}>{words}</option>)}
      </select>
    </div>
  )
}

/** A few choices side by side, one of which holds. */
export function TabFilter({ label, name, options, value = "" }: ChoiceProps) {
  return (
    <div className="tabs" role="group" aria-label={label}>
      {options.map(([option, words]) => (
        <button
          key={option}
          type="button"
          aria-pressed={option === value}
          onClick={() => change(name, option)}
        >
          {words}
        </button>
      ))}
    </div>
  )
}
