import type { Db } from '../db/db.ts'
import { wake } from '../db/wake.ts'
import { errors } from '../errors.ts'
import { utcDay } from '../lib/clock.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import { storeCodes } from '../links/codes.ts'
import { insertLinks, reserveLinkIds } from '../links/links.queries.ts'
import { type ShortUrls, shortUrls, storeLinks } from '../links/links.ts'
import { getList, holdListOpen } from '../lists/lists.ts'
import type { Consent } from '../log/consent.ts'
import { ensureLogDay } from '../log/log-days.queries.ts'
import type { AddressedChunk } from '../log/recipients.sql.ts'
import type { Runtime } from '../runtime.ts'
import { countParts } from '../sms/parts.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import { insertAddressed, insertBroadcast, type NewBroadcast, type PersonalContent } from './accept.queries.ts'
import type { Audience } from './audience/audience.ts'
import { listProfiles } from './audience/recipients.queries.ts'
import { rejectOptedOut } from './audience/recipients.ts'
import { typicalPartCount } from './content/content.ts'
import { readPersonalText } from './content/personal-text.ts'
import { partsWithin } from './content/text-length.ts'
import { linksIn } from './content/tracked-links.ts'
import {
  type Collection,
  countMessages,
  findMessage,
  listMessages,
  type MessageFilter,
  type MessageView,
} from './messages.queries.ts'
import { groupByLocation } from './timing/addressed-windows.ts'
import type { Timing } from './timing/timing.queries.ts'
import { atAnyTime, storeTiming, validateTiming } from './timing/timing.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/** The priorities of chunks: gateways lease those of a lower lane first. */
export const lanes = { system: 0, transactional: 1, broadcast: 2 } as const

export type BroadcastInput = {
  accountId: number
  list: { id: number; shortCodeId: number }
  content: string
  name?: string | null
  /** The maximum number of parts, instead of 160 characters. */
  maxParts?: number | null
  /** The base of short URLs for its links; null if they are not tracked. */
  linkBase?: string | null
  /** Null means the whole list. */
  audience?: Audience | null
  timing?: Timing
}

/**
 * Accepts a broadcast to the list's current subscribers, and returns its id. When this returns, the message and its
 * expansion are durable; a worker then writes the texts. Throws if the deadline has passed.
 */
export async function acceptBroadcast(rt: Rt, input: BroadcastInput): Promise<{ id: number }> {
  const message = newBroadcast(input, rt.clock.now())
  if (input.timing) validateTiming(input.timing, null, message.createdAt)
  const loggedOn = utcDay(message.createdAt)
  const id = await rt.db.tx(async (tx) => {
    await holdListOpen(tx, input.list.id)
    await ensureLogDay(tx, loggedOn)
    const id = await insertBroadcast(tx, message, loggedOn)
    await storeBroadcastLinks(tx, { ...message, id })
    if (input.timing) await storeTiming(tx, { ...message, id }, input.timing, null, message.createdAt)
    await wake(tx, 'expansions')
    return id
  })
  return { id }
}

/** Inserts the links of a broadcast, if they are tracked, and their codes, in the transaction that accepts it. */
export async function storeBroadcastLinks(
  tx: Db,
  { id, content, linkBase }: { id: number; content: string; linkBase: string | null },
): Promise<void> {
  const links = linksIn(content)
  if (linkBase !== null) await storeLinks(tx, id, links)
  await storeCodes(tx, id, links)
}

/** Returns a page of the broadcasts of the account's list, newest first; throws if there is no such list. */
export async function getMessagePage(
  db: Db,
  accountId: number,
  collection: Collection,
  filter: MessageFilter,
  page: Page,
): Promise<PageOf<MessageView>> {
  await getList(db, accountId, filter.listId)
  return pageOf(countMessages(db, collection, filter), listMessages(db, collection, filter, page))
}

/** Returns the message with this id; throws if the account has no such list or the list no such message. */
export async function getMessage(db: Db, accountId: number, listId: number, id: number): Promise<MessageView> {
  await getList(db, accountId, listId)
  const message = await findMessage(db, listId, id)
  if (!message) throw errors.messageNotFound()
  return message
}

/** Returns the row of a new broadcast. */
export function newBroadcast(input: BroadcastInput, createdAt: Date): NewBroadcast {
  return {
    accountId: input.accountId,
    listId: input.list.id,
    shortCodeId: input.list.shortCodeId,
    kind: 'broadcast',
    name: input.name ?? null,
    content: input.content,
    consent: 'subscribed',
    partCount: typicalPartCount(input.content, input.linkBase ?? null),
    maxParts: input.maxParts ?? null,
    linkBase: input.linkBase ?? null,
    audience: input.audience ?? null,
    createdAt,
  }
}

export type AddressedInput = {
  accountId: number
  /** The list that it is sent for, if any: a number that has opted out of it is an error. */
  listId: number | null
  shortCodeId: number
  phones: number[]
  content: string
  name?: string | null
  webhookCallbackUrl?: string | null
  /** The maximum number of parts, instead of 160 characters. */
  maxParts?: number | null
  /** The base of short URLs for its links; null if they are not tracked. */
  linkBase?: string | null
  /** The deadline: numbers that have not been texted by then are suppressed. */
  deliverBy?: Date | null
  /** Whether it is the test of a broadcast; default false. */
  isTest?: boolean
  /** The field that an error about the numbers names. */
  field: string
}

/**
 * Queues one text to each of a few numbers, in the lane before broadcasts, and returns the message's id. Merge tags are
 * replaced by the number's profile on the list; without a list, the content is sent unchanged. Throws, and sends
 * nothing, if a number has opted out; a number that opts out before its text is sent is suppressed.
 */
export async function sendToNumbers(rt: Rt & Pick<Runtime, 'config'>, input: AddressedInput): Promise<{ id: number }> {
  const { field, ...texts } = input
  const now = rt.clock.now()
  if (input.deliverBy) validateTiming({ ...atAnyTime, deliverBy: input.deliverBy }, null, now)
  const id = await rt.db.tx(async (tx) => {
    if (input.listId !== null) await holdListOpen(tx, input.listId)
    await rejectOptedOut(tx, { ...texts, field })
    const linkBase = input.linkBase ?? null
    const links = linkBase === null ? [] : await reserveLinkIds(tx, linksIn(input.content))
    const urls = linkBase !== null && links.length > 0 ? shortUrls(rt, linkBase, links) : undefined
    const personal = await personalTexts(tx, input, urls)
    const layout = await groupByLocation(tx, input, now)
    const reordered = layout && {
      phones: reorder(layout.order, input.phones),
      personal: personal && reorder(layout.order, personal),
      chunks: layout.chunks,
    }
    const lane = lanes.transactional
    const added = { ...texts, personal, ...reordered, kind: 'transactional', consent: 'not_opted_out', lane } as const
    const id = await queueTexts(tx, rt, added)
    if (links.length > 0) await insertLinks(tx, id, links)
    return id
  })
  return { id }
}

const reorder = <T>(order: number[], things: T[]): T[] => order.flatMap((n) => things.slice(n, n + 1))

/**
 * Returns the text for each number, in their order; undefined if it is the same for all. Throws if one is too long or
 * blank.
 */
async function personalTexts(
  tx: Db,
  input: AddressedInput,
  urls: ShortUrls | undefined,
): Promise<PersonalContent[] | undefined> {
  const { listId, phones, maxParts = null, field } = input
  const text = listId === null ? undefined : await readPersonalText(tx, listId, input, urls)
  if (listId === null || !text) return undefined
  return (await listProfiles(tx, listId, phones, text.fieldKeys)).map((person) => {
    const own = text.textFor(person)
    const partCount = partsWithin(own, maxParts)
    if (partCount !== undefined && own.trim() !== '') return { content: own, partCount }
    const fault = partCount === undefined ? 'would get a text that is too long' : 'would get a blank text'
    throw errors.invalid({ [field]: [`${fault}: ${formatPhoneNumber(person.phone)}`] })
  })
}

export type SystemTextInput = {
  accountId: number
  listId: number | null
  shortCodeId: number
  phone: number
  content: string
  /** `reply` needs no consent, because it replies to a text from that number. */
  consent: 'not_opted_out' | 'reply'
}

/**
 * Queues one system text (an opt-in question, a welcome, a reply to STOP or HELP) in the lane before all others, within
 * the caller's transaction, and returns the message's id.
 */
export async function sendSystemText(tx: Db, rt: Pick<Runtime, 'clock'>, input: SystemTextInput): Promise<number> {
  const { phone, ...texts } = input
  return queueTexts(tx, rt, { ...texts, phones: [phone], kind: 'system', lane: lanes.system })
}

type Texts = Omit<AddressedInput, 'field' | 'maxParts'> & {
  personal?: PersonalContent[]
  chunks?: AddressedChunk[]
  kind: 'transactional' | 'system'
  consent: Consent
  lane: number
}

async function queueTexts(tx: Db, rt: Pick<Runtime, 'clock'>, texts: Texts): Promise<number> {
  const { phones, personal, chunks, deliverBy, lane, name = null, ...message } = texts
  const createdAt = rt.clock.now()
  const loggedOn = utcDay(createdAt)
  await ensureLogDay(tx, loggedOn)
  const { linkBase = null } = message
  const partCount = personal ? typicalPartCount(message.content, linkBase) : countParts(message.content).partCount
  const id = await insertAddressed(
    tx,
    { ...message, name, partCount, createdAt },
    { phones, personal, chunks, deliverBy, lane, loggedOn },
  )
  await wake(tx, 'chunks')
  return id
}
