import { type Sql, sql } from '../db/sql.ts'

/** Selections of recipients by their clicks: with one of a person, with any, without one of a person, without any. */
export const clickedWords = ['human', 'any', 'not_human', 'none'] as const
export type Clicked = (typeof clickedWords)[number]

/** Whether a selection is of recipients with such a click, instead of those without. */
export const isWithClick = (clicked: Clicked) => clicked === 'human' || clicked === 'any'

/**
 * Returns the expression of whether a selection, an expression of one of `clickedWords`, contains a phone by its clicks on a message, or
 * on the link with an id if `linkId` is not null, until a time if `until` is given.
 */
export function isSelectedByClick(
  clicked: Sql,
  { messageId, phone, linkId, until }: { messageId: Sql; phone: Sql; linkId: Sql; until?: Sql },
): Sql {
  const inTime =
    until === undefined
      ? sql`k.human_click_count > 0 or ${clicked} in ('any', 'none')`
      : sql`case when ${clicked} in ('any', 'none') then k.first_clicked_at else k.first_human_clicked_at end <= ${until}`
  return sql`(exists (
      select from clickers k
       where k.message_id = ${messageId} and k.phone = ${phone} and (${linkId} is null or k.link_id = ${linkId}) and (${inTime})
    ) = (${clicked} in ('human', 'any')))`
}
