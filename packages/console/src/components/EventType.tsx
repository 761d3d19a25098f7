/** The type of an event, with its version where that is not the first. */
export const EventType = ({ type, version = 1 }: { readonly type: string; readonly version?: number }) => (
  <span className="event-type">
    {type === "" ? <span className="faint">(no type)</span> : type}
    {version > 1 && <span className="version">v{version}</span>}
  </span>
)
