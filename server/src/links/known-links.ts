import type { Db } from '../db/db.ts'
import { findLink, listLinksFrom } from './links.queries.ts'

/** The target of a link, as a header of a response has it. */
const targetOf = (link: string) => new URL(link).href

/** Characters of the links that a process knows; about twice as many bytes. */
const maxCharacters = 8_000_000
/** Links that a process reads when it starts, and again each time, because links commit in another order than their ids. */
const firstLinks = 10_000
const overlap = 500

/** The links that this process knows, so that they are redirected while the database is away. Links do not change. */
export class KnownLinks {
  // in the order of use, the longest unused first
  readonly #links = new Map<number, string>()
  #characters = 0
  #highest: number | undefined

  /** Returns the target of the link with this id; undefined if it does not exist. Throws if it is unknown and the database is away. */
  async find(db: Db, id: number): Promise<string | undefined> {
    const known = this.#links.get(id)
    if (known !== undefined) {
      this.#links.delete(id)
      this.#links.set(id, known)
      return known
    }
    const found = await findLink(db, id)
    return found && this.#add(found.id, found.link)
  }

  /** Reads the links that were added since the last time, before anybody opens them; at first, the latest ones. */
  async learn(db: Db): Promise<void> {
    const from = this.#highest === undefined ? undefined : this.#highest - overlap
    for (const { id, link } of (await listLinksFrom(db, from ?? 0, firstLinks)).reverse()) {
      if (!this.#links.has(id)) this.#add(id, link)
      this.#highest = Math.max(this.#highest ?? 0, id)
    }
  }

  #add(id: number, link: string): string {
    const target = targetOf(link)
    this.#characters += target.length - (this.#links.get(id)?.length ?? 0)
    this.#links.set(id, target)
    for (const [oldest, text] of this.#links) {
      if (this.#characters <= maxCharacters) break
      this.#links.delete(oldest)
      this.#characters -= text.length
    }
    return target
  }
}
