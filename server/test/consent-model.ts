import type { AddResult } from '../src/opt-ins/subscribe.ts'

// The rule of docs/consent.md in memory, without races: the reference for src/opt-ins/consent-model.test.ts.

export const hourMs = 3_600_000
/** The default of `resend_block_hours`. */
const resendBlockMs = 48 * hourMs

type Member = {
  state: 'pending' | 'subscribed' | 'unsubscribed'
  askedAt: number
  optedOutAt: number
  /** The short code whose STOP ended the subscription, as long as START there would renew it. */
  leftBy: number | null
}
type ModelList = { codeId: number; formerCodeIds: Set<number>; isDeleted: boolean; timeoutHours: number }
type OpenMessage = {
  name: string
  kind: 'broadcast' | 'text' | 'request'
  listId: number | null
  codeId: number
  phones: Set<number>
}

/** The state of consent, and the messages whose texts are queued. */
export class ConsentModel {
  readonly #now: () => number
  readonly #lists = new Map<number, ModelList>()
  /** By list and phone. */
  readonly #members = new Map<string, Member>()
  /** The time of the last STOP, by short code and phone. */
  readonly #blocks = new Map<string, number>()
  #messages: OpenMessage[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  openLists(): number[] {
    return [...this.#lists].filter(([, list]) => !list.isDeleted).map(([id]) => id)
  }

  addList(listId: number, codeId: number, timeoutHours: number) {
    this.#lists.set(listId, { codeId, formerCodeIds: new Set(), isDeleted: false, timeoutHours })
  }

  move(listId: number, codeId: number) {
    const list = this.#list(listId)
    if (list.codeId !== codeId) list.formerCodeIds.add(list.codeId)
    list.codeId = codeId
  }

  deleteList(listId: number) {
    this.#list(listId).isDeleted = true
  }

  codeOf(listId: number): number {
    return this.#list(listId).codeId
  }

  timeoutHoursOf(listId: number): number {
    return this.#list(listId).timeoutHours
  }

  isMember(listId: number, phone: number): boolean {
    return this.#members.has(`${listId} ${phone}`)
  }

  isBlocked(codeId: number, phone: number): boolean {
    return this.#blocks.has(`${codeId} ${phone}`)
  }

  /** A STOP; `importing` is a list with a file that is stored and not applied yet. */
  stop(codeId: number, phone: number, importing?: number) {
    this.#blocks.set(`${codeId} ${phone}`, this.#now())
    const listIds = new Set(
      [...this.#lists].filter(([, list]) => list.codeId === codeId || list.formerCodeIds.has(codeId)).map(([id]) => id),
    )
    for (const id of listIds) {
      if (id === importing && !this.#members.has(`${id} ${phone}`)) {
        this.#members.set(`${id} ${phone}`, { state: 'pending', askedAt: 0, optedOutAt: 0, leftBy: null })
      }
      this.#unsubscribe(id, phone, codeId)
    }
    for (const message of this.#messages) {
      const isInScope = message.codeId === codeId || (message.listId !== null && listIds.has(message.listId))
      if (isInScope) message.phones.delete(phone)
    }
  }

  /** START, UNSTOP or YES to a short code, or a keyword of a list. */
  start(codeId: number, phone: number, keywordListId?: number) {
    if (!this.isBlocked(codeId, phone)) return
    const lists = [...this.#lists].filter(([, list]) => list.codeId === codeId && !list.isDeleted)
    const meant = lists.filter(([id]) => keywordListId === undefined || id === keywordListId)
    if (keywordListId !== undefined && meant.length === 0) return
    for (const [id] of meant) {
      const member = this.#members.get(`${id} ${phone}`)
      if (member?.leftBy === codeId) this.subscribe(id, phone)
    }
    this.#lift(codeId, phone)
  }

  /** A number that an add or a file subscribes, or that returns. */
  subscribe(listId: number, phone: number) {
    const optedOutAt = this.#members.get(`${listId} ${phone}`)?.optedOutAt ?? 0
    this.#members.set(`${listId} ${phone}`, { state: 'subscribed', askedAt: 0, optedOutAt, leftBy: null })
  }

  leave(listId: number, phone: number) {
    const member = this.#members.get(`${listId} ${phone}`)
    if (!member || member.state === 'unsubscribed') return
    this.#unsubscribe(listId, phone, null)
    for (const message of this.#messages) if (message.listId === listId) message.phones.delete(phone)
  }

  add(listId: number, phone: number, flags: { bypassProcess: boolean; bypassResponse: boolean }): AddResult['outcome'] {
    const list = this.#list(listId)
    const key = `${list.codeId} ${phone}`
    const stoppedAt = this.#blocks.get(key)
    if (stoppedAt !== undefined && this.#now() < stoppedAt + this.#waitOf(list.codeId)) return 'security_timeout'
    const isDirect = flags.bypassProcess && (stoppedAt === undefined || flags.bypassResponse)
    const member = this.#members.get(`${listId} ${phone}`)
    if (member?.state === 'subscribed' && !(isDirect && stoppedAt !== undefined)) return 'already_subscribed'
    if (member?.state === 'pending' && !isDirect && this.#now() < member.askedAt + resendBlockMs) return 'already_asked'
    if (member?.state === 'unsubscribed' && this.#now() < member.optedOutAt + list.timeoutHours * hourMs) {
      return 'security_timeout'
    }
    if (isDirect) {
      this.subscribe(listId, phone)
      if (stoppedAt !== undefined) this.#lift(list.codeId, phone)
      return 'added'
    }
    const { optedOutAt = 0, leftBy = null } = member ?? {}
    const askedAt = stoppedAt === undefined ? this.#now() : 0
    this.#members.set(`${listId} ${phone}`, { state: 'pending', askedAt, optedOutAt, leftBy })
    if (stoppedAt !== undefined) return 'pending'
    const request = { name: `request of ${listId}`, kind: 'request', listId, codeId: list.codeId } as const
    this.#messages.push({ ...request, phones: new Set([phone]) })
    return 'confirmation_sent'
  }

  file(listId: number, phones: number[]) {
    for (const phone of phones) {
      const member = this.#members.get(`${listId} ${phone}`)
      if (this.isBlocked(this.#list(listId).codeId, phone) || member?.state === 'unsubscribed') continue
      this.subscribe(listId, phone)
    }
  }

  broadcast(messageId: number, listId: number) {
    const subscribed = [...this.#members]
      .filter(([key, { state }]) => key.startsWith(`${listId} `) && state === 'subscribed')
      .map(([key]) => Number(key.split(' ')[1]))
    const { codeId } = this.#list(listId)
    this.#messages.push({ name: `${messageId}`, kind: 'broadcast', listId, codeId, phones: new Set(subscribed) })
  }

  text(messageId: number, codeId: number, phone: number) {
    this.#messages.push({ name: `${messageId}`, kind: 'text', listId: null, codeId, phones: new Set([phone]) })
  }

  /** Returns the texts of all open messages that may be sent now, and closes the messages. */
  send(): string[] {
    const messages = this.#messages
    this.#messages = []
    return messages.flatMap((message) =>
      [...message.phones]
        .filter((phone) => this.#maySend(message, phone))
        .map((phone) => `${message.name} to ${phone}`),
    )
  }

  states(): string[] {
    return [...this.#members].map(([key, { state }]) => `${key} ${state}`).sort()
  }

  /** The short codes and numbers that are blocked. */
  blocked(): Array<{ codeId: number; phone: number }> {
    return [...this.#blocks.keys()].map((key) => {
      const [codeId, phone] = key.split(' ').map(Number)
      return { codeId: Number(codeId), phone: Number(phone) }
    })
  }

  blocks(): string[] {
    return [...this.#blocks.keys()].sort()
  }

  #maySend({ kind, listId, codeId }: OpenMessage, phone: number): boolean {
    const state = this.#members.get(`${listId} ${phone}`)?.state
    if (this.isBlocked(codeId, phone)) return false
    return kind === 'broadcast' ? state === 'subscribed' : state !== 'unsubscribed'
  }

  #waitOf(codeId: number): number {
    const lists = [...this.#lists.values()].filter((list) => list.codeId === codeId)
    return Math.max(0, ...lists.map(({ timeoutHours }) => timeoutHours)) * hourMs
  }

  #unsubscribe(listId: number, phone: number, by: number | null) {
    const member = this.#members.get(`${listId} ${phone}`)
    if (!member || member.state === 'unsubscribed') return
    const leftBy = member.state === 'subscribed' || member.leftBy === by ? by : null
    this.#members.set(`${listId} ${phone}`, { ...member, state: 'unsubscribed', optedOutAt: this.#now(), leftBy })
  }

  #lift(codeId: number, phone: number) {
    this.#blocks.delete(`${codeId} ${phone}`)
    for (const [key, member] of this.#members) {
      if (key.endsWith(` ${phone}`) && member.leftBy === codeId) this.#members.set(key, { ...member, leftBy: null })
    }
  }

  #list(listId: number): ModelList {
    const list = this.#lists.get(listId)
    if (!list) throw new Error(`no list ${listId}`)
    return list
  }
}
