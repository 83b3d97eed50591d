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
  /** What to call the number in a refusal. */
  field: string
}

/**
 * Queues a text to one person from the account's first short code. The number need be on no list, but it is refused
 * when it has sent STOP to that short code and has not opted in since.
 */
export async function sendTransactional(rt: Pick<Runtime, 'db' | 'clock'>, input: TransactionalInput) {
  const { phone, ...texts } = input
  const [shortCode] = await listShortCodes(rt.db, input.accountId)
  if (!shortCode) throw errors.noShortCode()
  return sendToNumbers(rt, { ...texts, listId: null, shortCodeId: shortCode.id, phones: [phone] })
}
