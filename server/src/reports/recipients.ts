import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { isTableMissing } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import type { Page, PageOf } from '../lib/paging.ts'
import { getList } from '../lists/lists.ts'
import { type State, states } from '../log/transitions.ts'
import { isDayKept } from './momt-slices.queries.ts'
import {
  countRecipients,
  findMessageOfRecipients,
  listRecipients,
  type MessageOfRecipients,
  type RecipientFilter,
  type RecipientOfMessage,
} from './recipients.queries.ts'

/** The states in which a row has a reason. */
const statesWithReason: readonly State[] = ['bounced', 'expired', 'suppressed']

export type RecipientsRequest = {
  accountId: number
  listId: number
  messageId: number
  filter: RecipientFilter
  page: Page & { after: number }
}

/**
 * Returns a page of the recipients of a list's message, in the order of their ids; none before it is accepted. Throws a 404 if the
 * account has no such list or the list no such message, and a 410 if the log of its day is no longer kept.
 */
export async function getRecipientPage(db: Db, request: RecipientsRequest): Promise<PageOf<RecipientOfMessage>> {
  const { accountId, listId, messageId, page } = request
  await getList(db, accountId, listId)
  const message = await findMessageOfRecipients(db, listId, messageId)
  if (!message) throw errors.messageNotFound()
  const { loggedOn } = message
  if (loggedOn === null) return { count: 0, records: [] }
  try {
    return await db.tx(async (tx) => {
      if (!(await isDayKept(tx, loggedOn))) throw errors.logNotKept(loggedOn)
      return readPage(tx, { ...message, loggedOn }, withPossibleStates(request.filter), page)
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
  const isCounted = filter.reason === null && filter.carrier === null
  const count = isCounted ? most : await countRecipients(tx, message, filter)
  return { count, records: page.offset < count ? await listRecipients(tx, message, filter, page) : [] }
}

/** Returns the filter with those of its states in which a row can match. */
function withPossibleStates(filter: RecipientFilter): RecipientFilter {
  if (filter.reason === null) return filter
  return { ...filter, states: statesWithReason.filter((state) => filter.states?.includes(state) ?? true) }
}

const sumOf = ({ counters }: MessageOfRecipients, filter: RecipientFilter) =>
  (filter.states ?? states).reduce((sum, state) => sum + counters[state], 0)
