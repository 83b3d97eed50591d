import type { Db } from '../db/db.ts'
import { wake } from '../db/wake.ts'
import { utcDay } from '../lib/clock.ts'
import type { Runtime } from '../runtime.ts'
import { countParts } from '../sms/parts.ts'
import { ensureLogDay, insertBroadcast, insertSingle } from './accept.queries.ts'

/** The order in which gateways take work; a lower lane overtakes. */
export const lanes = { system: 0, transactional: 1, broadcast: 2 } as const

export type BroadcastInput = {
  accountId: number
  list: { id: number; shortCodeId: number }
  content: string
  name?: string | null
}

/**
 * Accepts a broadcast to whoever is subscribed to the list at this moment. When this returns, the message and
 * the duty to expand it are durable; the texts themselves follow.
 */
export async function acceptBroadcast(
  rt: Pick<Runtime, 'db' | 'clock'>,
  input: BroadcastInput,
): Promise<{ id: number }> {
  const acceptedAt = rt.clock.now()
  const loggedOn = utcDay(acceptedAt)
  const id = await rt.db.tx(async (tx) => {
    await ensureLogDay(tx, loggedOn)
    const id = await insertBroadcast(tx, {
      accountId: input.accountId,
      listId: input.list.id,
      shortCodeId: input.list.shortCodeId,
      kind: 'broadcast',
      name: input.name ?? null,
      content: input.content,
      phone: null,
      consent: 'subscribed',
      partCount: countParts(input.content).partCount,
      acceptedAt,
      loggedOn,
    })
    await wake(tx, 'expansions')
    return id
  })
  return { id }
}

export type SystemTextInput = {
  accountId: number
  listId: number | null
  shortCodeId: number
  phone: number
  content: string
  /** `answer` goes out whatever the number's consent says, because it answers a text of theirs. */
  consent: 'not_opted_out' | 'answer'
}

/**
 * Queues one text of the house (an opt-in question, a welcome, an answer to STOP or HELP) in the lane before all
 * others, within the caller's transaction, and answers the message's id.
 */
export async function sendSystemText(tx: Db, rt: Pick<Runtime, 'clock'>, input: SystemTextInput): Promise<number> {
  const acceptedAt = rt.clock.now()
  const loggedOn = utcDay(acceptedAt)
  await ensureLogDay(tx, loggedOn)
  const id = await insertSingle(
    tx,
    {
      ...input,
      kind: 'system',
      name: null,
      partCount: countParts(input.content).partCount,
      acceptedAt,
      loggedOn,
    },
    lanes.system,
  )
  await wake(tx, 'chunks')
  return id
}
