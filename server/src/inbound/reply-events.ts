import type { Db } from '../db/db.ts'
import type { Runtime } from '../runtime.ts'
import type { Inbound } from './inbound.queries.ts'
import { lockConfirmations } from './replies.queries.ts'
import {
  type InboundReply,
  insertReplyEvents,
  listCodesWithListeners,
  listIncompleteTexts,
  takeIncompleteText,
  takeWholeText,
} from './reply-events.queries.ts'
import { keywordForm, parseBareWord } from './words.ts'

/** The parts of one text arrive within this time; phones use a reference again after 255 other texts. */
const partsMaxMs = 3_600_000
const incompleteBatch = 100

/**
 * Reports which of these texts reply to a message of a list, in their order. They must be interpreted in the same transaction, as
 * no opt-out, HELP or opt-in. A long text is reported with its last part, or by `reportIncomplete`; binary texts are not reported.
 */
export async function recordReplies(tx: Db, mos: Inbound[], at: Date): Promise<void> {
  if (mos.length === 0) return
  const codes = await listCodesWithListeners(tx, [...new Set(mos.map(({ shortCode }) => shortCode))])
  if (codes.size === 0) return
  const texts: ReceivedText[] = []
  for (const mo of mos) {
    if (!codes.has(mo.shortCode)) continue
    const text = mo.isPart ? await findWholeText(tx, mo) : mo
    if (text) texts.push({ ...mo, content: text.content, receivedAt: text.receivedAt })
  }
  await insertReplies(tx, texts, at)
}

/**
 * Reports up to 100 texts of which a part did not arrive within an hour, with the other parts; returns whether there may be more.
 * Each is reported in a transaction of its own, which marks its parts.
 */
export async function reportIncomplete({ db, clock }: Pick<Runtime, 'db' | 'clock'>): Promise<boolean> {
  const at = clock.now()
  const before = new Date(at.getTime() - partsMaxMs)
  const incomplete = await listIncompleteTexts(db, before, incompleteBatch)
  for (const parts of incomplete) {
    await db.tx(async (tx) => {
      await lockConfirmations(tx, parts.phone, parts.shortCode)
      const text = await takeIncompleteText(tx, parts, before)
      if (text && (await listCodesWithListeners(tx, [parts.shortCode])).size > 0)
        await insertReplies(tx, [{ ...parts, ...text }], at)
    })
  }
  return incomplete.length === incompleteBatch
}

type ReceivedText = Pick<Inbound, 'phone' | 'shortCode' | 'dataCoding' | 'content' | 'receivedAt'>

async function insertReplies(tx: Db, texts: ReceivedText[], at: Date): Promise<void> {
  const replies: InboundReply[] = texts
    .filter((text) => !isBinary(text) && !isStart(text.content))
    .map(({ phone, shortCode, content, receivedAt }) => {
      return { phone, shortCode, content, form: keywordForm(content) ?? null, receivedAt }
    })
  if (replies.length === 0) return
  await insertReplyEvents(tx, replies, at)
}

/** Returns the text that this part completes, or undefined. The lock orders gateways that interpret its parts concurrently. */
async function findWholeText(tx: Db, mo: Inbound) {
  const { partTotal: total } = mo
  if (total === null) return undefined
  await lockConfirmations(tx, mo.phone, mo.shortCode)
  const since = new Date(mo.receivedAt.getTime() - partsMaxMs)
  return takeWholeText(tx, { ...mo, reference: mo.partReference, total }, since)
}

/** Returns whether the text is data for a program of the phone: its coding is 8-bit data, and it has control characters. */
function isBinary({ dataCoding, content }: ReceivedText): boolean {
  const isData = dataCoding === 2 || dataCoding === 4 || (dataCoding & 0xf4) === 0xf4 || (dataCoding & 0xcc) === 0x04
  return isData && /[^\P{Cc}\t\n\r]/u.test(content)
}

/** Returns whether the text is START or UNSTOP, which are requests of any sender; YES may be the reply to a question. */
const isStart = (content: string) => parseBareWord(content) === 'opt_in' && keywordForm(content) !== 'YES'
