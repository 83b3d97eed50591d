import { Readable } from 'node:stream'
import { expect } from 'vitest'
import { expandOnce } from '../src/broadcasts/expand.ts'
import type { Db } from '../src/db/db.ts'
import { applyNextSlice, receiveImport } from '../src/imports/imports.ts'
import { interpretInbound, storeInbound } from '../src/inbound/inbound.ts'
import { utcDay } from '../src/lib/clock.ts'
import { readNewList } from '../src/lists/lists.schema.ts'
import { changeList, createList, getList } from '../src/lists/lists.ts'
import { claimChunks } from '../src/log/claims.queries.ts'
import { ensureLogDay } from '../src/log/log-days.queries.ts'
import { markSubmitting } from '../src/log/marks.queries.ts'
import { acceptBroadcast, sendToNumbers } from '../src/messages/messages.ts'
import { deleteList } from '../src/messages/stop/delete-list.ts'
import { optOut } from '../src/opt-ins/opt-out.ts'
import { addSubscriber } from '../src/opt-ins/subscribe.ts'
import type { Runtime } from '../src/runtime.ts'
import { ConsentModel, hourMs } from './consent-model.ts'
import { listQueued } from './queued.ts'
import { csvUpload } from './uploads.ts'
import { waitFor } from './wait-for.ts'

// Random steps that concern consent, on a database and on the model of docs/consent.md.

const phones = [2_065_560_001, 2_065_560_002, 2_065_560_003]
const maxLists = 5

type Clock = { time: Date; now: () => Date }
type Code = { id: number; code: string }
/** A text from a phone; `listId` is the list whose keyword it is. */
type Text = { content: string; listId?: number }
type Given = {
  rt: Runtime
  clock: Clock
  accountId: number
  connectionId: number
  codes: Code[]
  /** Returns a number from 0 to 1. */
  random: () => number
}

/** How often each step is made. Steps that only matter to a number that is blocked, or soon will be, are frequent. */
const weights = {
  newList: 2,
  wait: 1,
  stop: 3,
  start: 3,
  texts: 1,
  text: 1,
  textDuringStop: 2,
  send: 2,
  add: 3,
  lateAdd: 4,
  addDuringStop: 3,
  file: 3,
  move: 4,
  delete: 1,
  broadcast: 3,
  leave: 1,
} as const
type Step = keyof typeof weights
const needsList = new Set<Step>(['add', 'lateAdd', 'addDuringStop', 'file', 'move', 'delete', 'broadcast', 'leave'])

export class ConsentWorld {
  readonly #given: Given
  readonly #rt: Runtime
  readonly #db: Db
  readonly #model: ConsentModel
  readonly history: string[] = []

  constructor(given: Given) {
    this.#given = given
    this.#rt = given.rt
    this.#db = given.rt.db
    this.#model = new ConsentModel(() => given.clock.time.getTime())
  }

  /** Makes one random step, and compares everything with the model. */
  async step(): Promise<void> {
    this.#advance(60_000)
    const hasLists = this.#model.openLists().length > 0
    const steps = (Object.keys(weights) as Step[]).filter((step) => hasLists || !needsList.has(step))
    const step = this.#pick(steps.flatMap((each) => Array<Step>(weights[each]).fill(each)))
    this.history.push(step)
    await this[step]()
    await this.#compare()
  }

  async newList() {
    if (this.#model.openLists().length >= maxLists) return this.delete()
    const code = this.#code()
    const hours = this.#pick([48, 48, 24, 0])
    const word = `LIST${this.history.length}`
    const settings = { ...readNewList({ name: word }), resubscribeTimeoutHours: hours }
    const { id } = await createList(this.#rt, this.#given.accountId, settings, [word], code.code)
    this.#keywords.set(id, word)
    this.#model.addList(id, code.id, hours)
  }

  async wait() {
    this.#advance(this.#pick([1, 20, 30, 50]) * hourMs)
  }

  async stop() {
    await this.#stop(this.#code(), this.#phone())
  }

  /** START, UNSTOP, YES or a keyword, mostly to a short code where the number is blocked. */
  async start() {
    const { code, phone } = this.#blockedOrAny()
    await this.#text(code, phone, [this.#optInText(code)])
  }

  /** Several texts that are stored before the first of them is interpreted. */
  async texts() {
    const length = 2 + Math.floor(this.#random() * 3)
    const code = this.#code()
    const texts = Array.from({ length }, () => (this.#chance(0.5) ? { content: 'STOP' } : this.#optInText(code)))
    await this.#text(code, this.#phone(), texts)
  }

  async leave() {
    const listId = this.#list()
    const phone = this.#phone()
    const { accountId } = this.#given
    await optOut(this.#rt, { accountId, listId, phone, method: 'api', actor: 'key:1' })
    this.#model.leave(listId, phone)
  }

  async add() {
    await this.#add(this.#list(), this.#phone())
  }

  /** An add of a blocked number, around the end of the wait of its list or of the short code. */
  async lateAdd() {
    const { code, phone } = this.#blockedOrAny()
    const listId = this.#pick(this.#model.openLists().filter((id) => this.#model.codeOf(id) === code.id))
    if (listId === undefined) return
    this.#advance(this.#pick([0, this.#model.timeoutHoursOf(listId), 24, 48, 48]) * hourMs)
    await this.#add(listId, phone)
  }

  /** A new number on a list, which a STOP does not see because the add commits later. */
  async addDuringStop() {
    const listId = this.#list()
    const code = this.#codeOf(listId)
    const phone = phones.find((each) => !this.#model.isMember(listId, each) && !this.#model.isBlocked(code.id, each))
    if (phone === undefined) return this.add()
    const list = await getList(this.#db, this.#given.accountId, listId)
    const input = { list, phone, profile: {}, bypassProcess: true, bypassResponse: true, actor: 'key:1' }
    await this.#db.tx(async (tx) => {
      expect((await addSubscriber({ ...this.#rt, db: tx }, input)).outcome).toBe('added')
      await this.#stop(code, phone)
    })
    this.#model.subscribe(listId, phone)
  }

  /** A file, with a STOP during its upload, before its slices, or not at all. */
  async file() {
    const listId = this.#list()
    const numbers = phones.filter(() => this.#chance(0.8))
    const when = this.#pick(['never', 'never', 'upload', 'slices'] as const)
    const code = this.#code()
    const phone = this.#phone()
    const uploaded = Promise.withResolvers<void>()
    let started = false
    async function* body() {
      yield Buffer.from('phone\n')
      await uploaded.promise
      for (const number of numbers) yield Buffer.from(`${number}\n`)
    }
    const receiving = receiveImport(this.#rt, {
      ...csvUpload({ id: listId, accountId: this.#given.accountId }, Readable.from(body())),
      onBytes: () => {
        started = true
      },
    })
    await waitFor(() => started)
    if (when === 'upload') await this.#stop(code, phone)
    uploaded.resolve()
    const { id } = await receiving
    if (when === 'slices') await this.#stop(code, phone, listId)
    while (await applyNextSlice(this.#rt, id));
    this.#model.file(listId, numbers)
  }

  /** A move to another short code, often with a broadcast soon. */
  async move() {
    const listId = this.#list()
    const code = this.#pick(this.#given.codes.filter(({ id }) => id !== this.#model.codeOf(listId)))
    await changeList(this.#rt, this.#given.accountId, listId, {}, code.code)
    this.#model.move(listId, code.id)
    if (this.#chance(0.5)) await this.#broadcast(listId)
  }

  async delete() {
    await this.send()
    const listId = this.#list()
    await deleteList(this.#rt, this.#given.accountId, listId)
    this.#model.deleteList(listId)
  }

  async broadcast() {
    await this.#broadcast(this.#list())
  }

  async text() {
    const code = this.#code()
    const phone = this.#phone()
    const sending = this.#sendText(this.#rt, code, phone)
    if (this.#model.isBlocked(code.id, phone)) await expect(sending).rejects.toThrow('has opted out')
    else this.#model.text((await sending).id, code.id, phone)
  }

  /** A text that a STOP does not see because it commits later. */
  async textDuringStop() {
    const code = this.#code()
    const phone = phones.find((each) => !this.#model.isBlocked(code.id, each))
    if (phone === undefined) return this.text()
    // otherwise the confirmation of the STOP would wait for the day that this transaction creates
    await ensureLogDay(this.#db, utcDay(this.#given.clock.time))
    const id = await this.#db.tx(async (tx) => {
      const sending = await this.#sendText({ ...this.#rt, db: tx }, code, phone)
      await this.#stop(code, phone)
      return sending.id
    })
    this.#model.text(id, code.id, phone)
  }

  /** Marks all queued texts, as gateways do, and compares those that would be sent; replies to STOPs are not compared. */
  async send() {
    const now = this.#given.clock.time
    const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now, fromLane: 0, toLane: 9, limit: 999 }
    const sent: string[] = []
    for (const chunk of await claimChunks(this.#db, claim)) {
      const queued = await listQueued(this.#db, chunk)
      const ids = await markSubmitting(this.#db, chunk, queued, now)
      if (chunk.consent === 'reply') continue
      const kind = 'select kind from messages where id = $1'
      const isSystem = (await this.#db.one<{ kind: string }>('kind', kind, [chunk.messageId])).kind === 'system'
      const message = isSystem ? `request of ${chunk.listId}` : chunk.messageId
      for (const { id, phone } of queued) if (ids.includes(id)) sent.push(`${message} to ${phone}`)
    }
    // all of them have their responses
    await this.#db.exec('settle', 'delete from send_chunks')
    expect(sent.sort()).toEqual(this.#model.send().sort())
  }

  readonly #keywords = new Map<number, string>()

  #random(): number {
    return this.#given.random()
  }

  #pick<T>(things: readonly T[]): T {
    return things[Math.floor(this.#random() * things.length)] as T
  }

  #chance(probability: number): boolean {
    return this.#random() < probability
  }

  #advance(ms: number) {
    this.#given.clock.time = new Date(this.#given.clock.time.getTime() + ms)
  }

  #code = () => this.#pick(this.#given.codes)
  #phone = () => this.#pick(phones)
  #list = () => this.#pick(this.#model.openLists())
  #codeOf = (listId: number) => this.#given.codes.find(({ id }) => id === this.#model.codeOf(listId)) as Code

  #blockedOrAny(): { code: Code; phone: number } {
    const blocked = this.#pick(this.#model.blocked())
    if (!blocked || this.#chance(0.1)) return { code: this.#code(), phone: this.#phone() }
    return { code: this.#given.codes.find(({ id }) => id === blocked.codeId) as Code, phone: blocked.phone }
  }

  #optInText(code: Code): Text {
    if (this.#chance(0.5)) return { content: this.#pick(['START', 'Unstop!', 'yes']) }
    const own = [...this.#keywords].filter(([listId]) => this.#model.codeOf(listId) === code.id)
    // sometimes that of a list which is deleted, or sends from another short code
    const [listId, content] = this.#pick(own.length > 0 && this.#chance(0.7) ? own : [...this.#keywords])
    return { content, listId }
  }

  /** Stores MOs, and then interprets them; `importing` is a list with a file that is not applied yet. */
  async #text({ id, code }: Code, phone: number, texts: Text[], importing?: number) {
    const { connectionId, clock } = this.#given
    for (const { content } of texts) {
      const raw = Buffer.from(content)
      await storeInbound(this.#db, {
        connectionId,
        shortCode: code,
        phone,
        content,
        raw,
        dataCoding: 0,
        receivedAt: clock.time,
      })
    }
    while (await interpretInbound(this.#rt));
    for (const { content, listId } of texts) {
      if (content === 'STOP') this.#model.stop(id, phone, importing)
      else this.#model.start(id, phone, listId)
    }
  }

  async #stop(code: Code, phone: number, importing?: number) {
    await this.#text(code, phone, [{ content: 'STOP' }], importing)
  }

  async #add(listId: number, phone: number) {
    const flags = { bypassProcess: this.#chance(0.6), bypassResponse: this.#chance(0.6) }
    const list = await getList(this.#db, this.#given.accountId, listId)
    const { outcome } = await addSubscriber(this.#rt, { list, phone, profile: {}, ...flags, actor: 'key:1' })
    expect(outcome, JSON.stringify(flags)).toBe(this.#model.add(listId, phone, flags))
  }

  async #broadcast(listId: number) {
    const { accountId } = this.#given
    const list = await getList(this.#db, accountId, listId)
    const { id } = await acceptBroadcast(this.#rt, { accountId, list, content: 'Soup on Friday' })
    while (await expandOnce(this.#rt));
    this.#model.broadcast(id, listId)
    if (this.#chance(0.5)) await this.send()
  }

  #sendText(rt: Runtime, code: Code, phone: number) {
    const { accountId } = this.#given
    const given = { accountId, listId: null, shortCodeId: code.id, content: 'Ready', field: 'number' }
    return sendToNumbers(rt, { ...given, phones: [phone] })
  }

  async #compare() {
    const keys = async (name: string, statement: string) =>
      (await this.#db.many<{ key: string }>(name, statement)).map(({ key }) => key).sort()
    expect(await keys('states', `select list_id || ' ' || phone || ' ' || state as key from subscribers`)).toEqual(
      this.#model.states(),
    )
    expect(await keys('blocks', `select short_code_id || ' ' || phone as key from blocks`)).toEqual(
      this.#model.blocks(),
    )
    // the ledger alone says the same
    const recorded = `
      select short_code_id || ' ' || phone as key
        from (select distinct on (short_code_id, phone) * from opts where short_code_id is not null
               order by short_code_id, phone, id desc) last
       where kind = 'opt_out'`
    expect(await keys('recorded', recorded)).toEqual(this.#model.blocks())
  }
}
