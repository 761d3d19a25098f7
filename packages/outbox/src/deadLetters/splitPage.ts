/** Of rows of which one more than `limit` was asked for: those of the page, and the last of them where another page comes behind it. */
export const splitPage = <Row>(rows: ReadonlyArray<Row>, limit: number) => ({
  page: rows.slice(0, limit),
  last: rows.length > limit ? rows[limit - 1] : undefined
})
