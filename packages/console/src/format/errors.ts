/** Errors that the server has made one group of, since they differ only in numbers and ids. */

/**
 * A text that is in every error of the group: the longest stretch between its placeholders, `<n>` and `<id>`. It may be in others too.
 * Empty where nothing but placeholders is in it.
 */
export const commonText = (group: string): string =>
  group.split(/<n>|<id>/).map((part) => part.trim()).reduce(
    (longest, part) => part.length > longest.length ? part : longest,
    ""
  )
