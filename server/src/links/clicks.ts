import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import {
  type AddedClicks,
  type AddedCounts,
  addClickers,
  addCounts,
  type Clicker,
  type EarlierClicks,
  insertClicks,
  listEarlierClicks,
  listTexts,
  lockLinks,
  type NewClick,
} from './clicks.queries.ts'
import { burstMs, type ClickedText, isBeforeDelivery, type RequestRule } from './machine-rules.ts'

/** A request of a short URL that was redirected. */
export type Click = { linkId: number; phone: number; clickedAt: Date; rule: RequestRule | null }

/**
 * Stores clicks and counts them, in their order. Clicks on links whose message was deleted are dropped. The caller makes sure
 * that a click is given once.
 */
export async function storeClicks(tx: Db, given: Click[]): Promise<void> {
  await findByKeys(tx)
  const linkIds = [...new Set(given.map(({ linkId }) => linkId))].sort((a, b) => a - b)
  const links = new Map((await lockLinks(tx, linkIds)).map((link) => [link.id, link]))
  const clicks = given.flatMap((click) => {
    const link = links.get(click.linkId)
    return link ? [{ ...click, link, messageId: link.messageId, loggedOn: link.loggedOn }] : []
  })
  if (clicks.length === 0) return
  const clickers = distinct(clicks, keyOf)
  const texts = new Map<string, ClickedText>()
  for (const [day, ofDay] of groupBy(clickers, ({ loggedOn }) => loggedOn)) {
    for (const text of await listTexts(tx, day, ofDay)) texts.set(keyOf(text), text)
  }
  const history = new History()
  for (const earlier of await listEarlierClicks(tx, clickers)) history.know(earlier)
  const added = new Map<number, AddedCounts>()
  const ofClickers = new Map<string, AddedClicks>()
  const rows = clicks.map(({ link, phone, clickedAt, rule }): NewClick => {
    const clicker = { messageId: link.messageId, phone }
    const text = texts.get(keyOf(clicker))
    const decided =
      rule ??
      (text && isBeforeDelivery(text, clickedAt) ? 'before_delivery' : undefined) ??
      (history.isBurst(clicker, clickedAt) ? 'burst' : null)
    const { isNew, isNewHuman } = history.add(clicker, link.id, clickedAt, decided === null)
    const counts = added.get(link.id) ?? { linkId: link.id, clicks: 0, unique: 0, human: 0, uniqueHuman: 0 }
    counts.clicks++
    counts.unique += isNew ? 1 : 0
    counts.human += decided === null ? 1 : 0
    counts.uniqueHuman += isNewHuman ? 1 : 0
    added.set(link.id, counts)
    addClick(ofClickers, { ...clicker, linkId: link.id }, clickedAt, decided === null)
    return { linkId: link.id, messageId: link.messageId, phone, clickedAt, rule: decided }
  })
  await insertClicks(tx, rows)
  await addCounts(tx, [...added.values()])
  await addClickers(tx, [...ofClickers.values()])
}

/** Adds a click to those of its recipient on the link. */
function addClick(
  added: Map<string, AddedClicks>,
  clicker: Clicker & { linkId: number },
  at: Date,
  isHuman: boolean,
): void {
  const key = `${clicker.linkId} ${clicker.phone}`
  const of = added.get(key) ?? { ...clicker, clicks: 0, human: 0, firstAt: at, firstHumanAt: null, lastAt: at }
  of.clicks++
  if (isHuman) {
    of.human++
    if (of.firstHumanAt === null || at < of.firstHumanAt) of.firstHumanAt = at
  }
  if (at < of.firstAt) of.firstAt = at
  if (at > of.lastAt) of.lastAt = at
  added.set(key, of)
}

/** The clicks of recipients so far. */
class History {
  readonly #lastAt = new Map<string, Date>()
  readonly #links = new Set<string>()
  readonly #humanLinks = new Set<string>()

  /** Returns whether the recipient's previous click on any link of the message was less than a second before. */
  isBurst(clicker: Clicker, at: Date): boolean {
    const last = this.#lastAt.get(keyOf(clicker))
    return last !== undefined && Math.abs(at.getTime() - last.getTime()) < burstMs
  }

  know({ linkId, lastAt, isHuman, ...clicker }: EarlierClicks): void {
    const last = this.#lastAt.get(keyOf(clicker))
    if (!last || last < lastAt) this.#lastAt.set(keyOf(clicker), lastAt)
    this.#links.add(`${linkId} ${clicker.phone}`)
    if (isHuman) this.#humanLinks.add(`${linkId} ${clicker.phone}`)
  }

  /** Adds a click; returns whether it is the recipient's first on this link, and the first of a person. */
  add(clicker: Clicker, linkId: number, at: Date, isHuman: boolean): { isNew: boolean; isNewHuman: boolean } {
    const key = keyOf(clicker)
    const last = this.#lastAt.get(key)
    if (!last || last < at) this.#lastAt.set(key, at)
    const ofLink = `${linkId} ${clicker.phone}`
    const isNew = !this.#links.has(ofLink)
    const isNewHuman = isHuman && !this.#humanLinks.has(ofLink)
    this.#links.add(ofLink)
    if (isHuman) this.#humanLinks.add(ofLink)
    return { isNew, isNewHuman }
  }
}

const keyOf = ({ messageId, phone }: Clicker) => `${messageId} ${phone}`

/** Returns the last of those with the same key. */
function distinct<T>(things: T[], keyFor: (thing: T) => string): T[] {
  return [...new Map(things.map((thing) => [keyFor(thing), thing])).values()]
}

function groupBy<T>(things: T[], keyFor: (thing: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const thing of things) {
    const key = keyFor(thing)
    const group = groups.get(key)
    if (group) group.push(thing)
    else groups.set(key, [thing])
  }
  return groups
}
