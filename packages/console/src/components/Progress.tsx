/** How far something is, as a bar and in words. */
export const Progress = ({ label, value }: { readonly value: number; readonly label: string }) => {
  const percent = Math.min(100, Math.floor(value * 100))
  return (
    <span className="progress">
      <progress max={100} value={percent} aria-label={label} />
      <span>{percent}%</span>
    </span>
  )
}
