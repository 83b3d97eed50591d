import type { Db } from '../db/db.ts'
import { wake } from '../db/wake.ts'
import { utcDay } from '../lib/clock.ts'
import type { Runtime } from '../runtime.ts'
import { countParts } from '../sms/parts.ts'
import { ensureLogDay, insertAddressed, insertBroadcast, type NewBroadcast } from './accept.queries.ts'
import type { Audience } from './audience.ts'
import type { Consent } from './consent.ts'
import { refuseOptedOut } from './recipients.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/** The order in which gateways take work; a lower lane overtakes. */
export const lanes = { system: 0, transactional: 1, broadcast: 2 } as const

export type BroadcastInput = {
  accountId: number
  list: { id: number; shortCodeId: number }
  content: string
  name?: string | null
  /** So many parts instead of 160 characters. */
  maxParts?: number | null
  /** All of the list when there is none. */
  audience?: Audience | null
}

/**
 * Accepts a broadcast to whoever is subscribed to the list at this moment. When this returns, the message and
 * the duty to expand it are durable; the texts themselves follow.
 */
export async function acceptBroadcast(rt: Rt, input: BroadcastInput): Promise<{ id: number }> {
  const message = newBroadcast(input, rt.clock.now())
  const loggedOn = utcDay(message.createdAt)
  const id = await rt.db.tx(async (tx) => {
    await ensureLogDay(tx, loggedOn)
    const id = await insertBroadcast(tx, message, loggedOn)
    await wake(tx, 'expansions')
    return id
  })
  return { id }
}

/** The row of a broadcast. */
export function newBroadcast(input: BroadcastInput, createdAt: Date): NewBroadcast {
  return {
    accountId: input.accountId,
    listId: input.list.id,
    shortCodeId: input.list.shortCodeId,
    kind: 'broadcast',
    name: input.name ?? null,
    content: input.content,
    consent: 'subscribed',
    partCount: countParts(input.content).partCount,
    maxParts: input.maxParts ?? null,
    audience: input.audience ?? null,
    createdAt,
  }
}

export type AddressedInput = {
  accountId: number
  /** The list on whose behalf, if any: whoever left it is refused. */
  listId: number | null
  shortCodeId: number
  phones: number[]
  content: string
  name?: string | null
  webhookCallbackUrl?: string | null
  /** What to call the numbers in a refusal. */
  field: string
}

/**
 * Queues one text to a few numbers in the lane before broadcasts. Refuses, for all of them, when one has opted out; who
 * opts out before it leaves is suppressed.
 */
export async function sendToNumbers(rt: Rt, input: AddressedInput): Promise<{ id: number }> {
  const { field, ...texts } = input
  const id = await rt.db.tx(async (tx) => {
    await refuseOptedOut(tx, { ...texts, field })
    return queueTexts(tx, rt, { ...texts, kind: 'transactional', consent: 'not_blocked', lane: lanes.transactional })
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
  const { phone, ...texts } = input
  return queueTexts(tx, rt, { ...texts, phones: [phone], kind: 'system', lane: lanes.system })
}

type Texts = Omit<AddressedInput, 'field'> & { kind: 'transactional' | 'system'; consent: Consent; lane: number }

async function queueTexts(tx: Db, rt: Pick<Runtime, 'clock'>, texts: Texts): Promise<number> {
  const { phones, lane, name = null, ...message } = texts
  const createdAt = rt.clock.now()
  const loggedOn = utcDay(createdAt)
  await ensureLogDay(tx, loggedOn)
  const { partCount } = countParts(message.content)
  const id = await insertAddressed(tx, { ...message, name, partCount, createdAt }, { phones, lane, loggedOn })
  await wake(tx, 'chunks')
  return id
}
