/** What went wrong, in the server's words where it has said some. Told to screen readers when it appears. */
export const Problem = (
  { again, error }: { readonly error: string | undefined; readonly again?: (() => void) | undefined }
) =>
  error === undefined ? null : (
    <div className="problem" role="alert">
      <p>{error}</p>
      {again !== undefined && <button type="button" onClick={again}>Try again</button>}
    </div>
  )
