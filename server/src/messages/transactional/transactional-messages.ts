import { errors } from '../../errors.ts'
import type { Runtime } from '../../runtime.ts'
import { listShortCodes } from '../../short-codes/short-codes.queries.ts'
import { sendToNumbers } from '../messages.ts'

export type TransactionalInput = {
  accountId: number
  phone: number
  content: string
  webhookCallbackUrl: string | null
  deliverBy?: Date | null
  /** The field that an error about the number names. */
  field: string
}

/**
 * Queues a text to one person from the account's first short code, and returns the message's id. The number need not be
 * on a list. Throws if it has sent STOP to that short code and not opted in since, or if the account has no short code.
 */
export async function sendTransactional(rt: Pick<Runtime, 'db' | 'clock' | 'config'>, input: TransactionalInput) {
  const { phone, ...texts } = input
  const [shortCode] = await listShortCodes(rt.db, input.accountId)
  if (!shortCode) throw errors.noShortCode()
  return sendToNumbers(rt, { ...texts, listId: null, shortCodeId: shortCode.id, phones: [phone] })
}
