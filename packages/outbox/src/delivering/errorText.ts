/** Error text that can be stored: what Postgres takes, and no more of it than an operator reads. */

const mostCharacters = 2000

/**
 * Control characters become spaces (a NUL would make the UPDATE itself fail), half surrogate pairs U+FFFD; at most 2,000 characters stay.
 */
export const errorText = (text: string): string => {
  const clean = text.slice(0, mostCharacters * 2).toWellFormed()
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, " ")
    .trim()
  const characters = Array.from(clean)
  return characters.length <= mostCharacters ? clean : `${characters.slice(0, mostCharacters - 3).join("")}...`
}
