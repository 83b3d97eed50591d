import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { isTableMissing } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import type { Page, PageOf } from '../lib/paging.ts'
import { findLinkOfMessage } from '../links/links.queries.ts'
import { getList } from '../lists/lists.ts'
import { type State, states } from '../log/transitions.ts'
import { isDayKept } from './momt-slices.queries.ts'
import {
  countClickedRecipients,
  countRecipients,
  findMessageOfRecipients,
  listClickedRecipients,
  listRecipients,
  type MessageOfRecipients,
  type RecipientFilter,
  type RecipientOfMessage,
} from './recipients.queries.ts'

/** The states in which a row has a reason. */
const statesWithReason: readonly State[] = ['bounced', 'expired', 'suppressed']

/** One of how many recipients with a click is found faster by the clicks than by reading the rows in their order. */
const rareShare = 20

/** A filter with the link as in the content of the message. */
export type GivenFilter = Omit<RecipientFilter, 'linkId'> & { link: string | null }

export type RecipientsRequest = {
  accountId: number
  listId: number
  messageId: number
  filter: GivenFilter
  page: Page & { after: number }
}

/**
 * Returns a page of the recipients of a list's message, in the order of their ids; none before it is accepted. Throws a 404 if the
 * account has no such list or the list no such message, a 422 if the message has no such link, and a 410 if the log of its day is no longer
 * kept.
 */
export async function getRecipientPage(db: Db, request: RecipientsRequest): Promise<PageOf<RecipientOfMessage>> {
  const { accountId, listId, messageId, page } = request
  await getList(db, accountId, listId)
  const message = await findMessageOfRecipients(db, listId, messageId)
  if (!message) throw errors.messageNotFound()
  const { loggedOn } = message
  const { link, ...given } = request.filter
  const linkId = link === null ? null : await findLinkOfMessage(db, messageId, link)
  if (linkId === undefined) throw errors.invalid({ link: ['is not a tracked link of this message'] })
  const filter = withPossibleStates({ ...given, linkId })
  if (loggedOn === null) return { count: 0, records: [] }
  try {
    return await db.tx(async (tx) => {
      if (!(await isDayKept(tx, loggedOn))) throw errors.logNotKept(loggedOn)
      return readPage(tx, { ...message, loggedOn }, filter, page)
    })
  } catch (error) {
    // the day was dropped meanwhile
    throw isTableMissing(error) ? errors.logNotKept(loggedOn) : error
  }
}

async function readPage(
  tx: Db,
  message: MessageOfRecipients & { loggedOn: string },
  filter: RecipientFilter,
  page: RecipientsRequest['page'],
): Promise<PageOf<RecipientOfMessage>> {
  const most = sumOf(message, filter)
  // the counters are 0, so no row is read
  if (most === 0) return { count: 0, records: [] }
  await findByKeys(tx)
  const count = await countMatching(tx, message, filter)
  if (page.offset >= count) return { count, records: [] }
  const { clicked } = filter
  const total = sumOf(message, { ...filter, states: null })
  const isRare = count * rareShare < total
  if (isRare && (clicked === 'human' || clicked === 'any'))
    return { count, records: await listClickedRecipients(tx, message, { ...filter, clicked }, page) }
  return { count, records: await listRecipients(tx, message, filter, page) }
}

async function countMatching(
  tx: Db,
  message: MessageOfRecipients & { loggedOn: string },
  filter: RecipientFilter,
): Promise<number> {
  const { clicked } = filter
  if (clicked === 'human' || clicked === 'any') return countClickedRecipients(tx, message, { ...filter, clicked })
  if (clicked !== null) {
    // few recipients click, so that all others are counted by those who did
    const withClick = { ...filter, clicked: clicked === 'none' ? 'any' : 'human' } as const
    const all = await countMatching(tx, message, { ...filter, clicked: null })
    return all - (await countClickedRecipients(tx, message, withClick))
  }
  return filter.reason === null && filter.carrier === null
    ? sumOf(message, filter)
    : countRecipients(tx, message, filter)
}

/** Returns the filter with those of its states in which a row can match. */
function withPossibleStates(filter: RecipientFilter): RecipientFilter {
  if (filter.reason === null) return filter
  return { ...filter, states: statesWithReason.filter((state) => filter.states?.includes(state) ?? true) }
}

const sumOf = ({ counters }: MessageOfRecipients, filter: RecipientFilter) =>
  (filter.states ?? states).reduce((sum, state) => sum + counters[state], 0)
