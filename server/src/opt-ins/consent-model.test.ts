import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { ConsentModel, hourMs } from '../../test/consent-model.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { randomFrom } from '../../test/scenarios/random-faults.ts'
import { waitFor } from '../../test/wait-for.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { applyNextSlice, receiveImport } from '../imports/imports.ts'
import { findShortCodeLists } from '../inbound/inbound.queries.ts'
import { changeList, getList } from '../lists/lists.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
import { deleteList } from '../messages/stop/delete-list.ts'
import type { Runtime } from '../runtime.ts'
import { optOut, optOutOfShortCode } from './opt-out.ts'
import { addSubscriber } from './subscribe.ts'

// Random sequences of adds, files, moves, deletions, STOPs and messages, compared with a model of docs/consent.md after each
// step: the states of all subscribers, the blocks, the ledger, and the texts that a gateway would send.

const phones = [2_065_560_001, 2_065_560_002, 2_065_560_003]
const steps = 120

class World {
  readonly #db: Db
  readonly #rt: Runtime
  readonly #model: ConsentModel
  readonly #random: () => number
  readonly #clock: { time: Date; now: () => Date }
  readonly #accountId: number
  readonly #codes: Array<{ id: number; code: string }>
  readonly history: string[] = []

  constructor(given: {
    rt: Runtime
    clock: { time: Date; now: () => Date }
    accountId: number
    codes: Array<{ id: number; code: string }>
    random: () => number
  }) {
    this.#rt = given.rt
    this.#db = given.rt.db
    this.#clock = given.clock
    this.#accountId = given.accountId
    this.#codes = given.codes
    this.#random = given.random
    this.#model = new ConsentModel(() => given.clock.time.getTime())
  }

  #pick<T>(things: readonly T[]): T {
    return things[Math.floor(this.#random() * things.length)] as T
  }

  #chance(probability: number): boolean {
    return this.#random() < probability
  }

  /** Makes one random step, and compares everything with the model. */
  async step(): Promise<void> {
    this.#clock.time = new Date(this.#clock.time.getTime() + 60_000)
    const lists = this.#model.openLists()
    const all = ['newList', 'wait', 'stop', 'text', 'send'] as const
    const withList = ['add', 'add', 'add', 'file', 'file', 'move', 'delete', 'broadcast', 'broadcast', 'leave'] as const
    const name = this.#pick(lists.length === 0 ? all : [...all, ...withList])
    this.history.push(name)
    await this[name]()
    await this.#compare()
  }

  async newList() {
    const code = this.#pick(this.#codes)
    const timeoutHours = this.#pick([48, 48, 24, 0])
    const list = await make.list(this.#db, { accountId: this.#accountId, shortCodeId: code.id })
    await this.#db.exec('timeout', 'update lists set resubscribe_timeout_hours = $2 where id = $1', [
      list.id,
      timeoutHours,
    ])
    this.#model.addList(list.id, code.id, timeoutHours)
  }

  async wait() {
    this.#clock.time = new Date(this.#clock.time.getTime() + this.#pick([1, 20, 30, 50]) * hourMs)
  }

  async stop() {
    const code = this.#pick(this.#codes)
    const phone = this.#pick(phones)
    await this.#stop(code, phone)
    this.#model.stop(code.id, phone)
  }

  async #stop({ code }: { code: string }, phone: number) {
    const senders = [{ phone, wording: 'STOP', actor: 'mo:1' }]
    await this.#db.tx(async (tx) => {
      const found = await findShortCodeLists(tx, code)
      if (!found) throw new Error('no such short code')
      await optOutOfShortCode(tx, found, { senders, method: 'stop', at: this.#clock.time })
    })
  }

  async leave() {
    const listId = this.#pick(this.#model.openLists())
    const phone = this.#pick(phones)
    await optOut(this.#rt, { accountId: this.#accountId, listId, phone, method: 'api', actor: 'key:1' })
    this.#model.leave(listId, phone)
  }

  async add() {
    const listId = this.#pick(this.#model.openLists())
    const phone = this.#pick(phones)
    const flags = { bypassProcess: this.#chance(0.6), bypassResponse: this.#chance(0.6) }
    const list = await getList(this.#db, this.#accountId, listId)
    const { outcome } = await addSubscriber(this.#rt, { list, phone, profile: {}, ...flags, actor: 'key:1' })
    expect(outcome, JSON.stringify(flags)).toBe(this.#model.add(listId, phone, flags))
  }

  /** A file, with a STOP during its upload, before its slices, or not at all. */
  async file() {
    const listId = this.#pick(this.#model.openLists())
    const numbers = phones.filter(() => this.#chance(0.7))
    const when = this.#pick(['never', 'upload', 'slices'] as const)
    const code = this.#pick(this.#codes)
    const phone = this.#pick(phones)
    const uploaded = Promise.withResolvers<void>()
    let started = false
    async function* body() {
      yield Buffer.from('phone\n')
      await uploaded.promise
      for (const number of numbers) yield Buffer.from(`${number}\n`)
    }
    const receiving = receiveImport(this.#rt, {
      accountId: this.#accountId,
      listId,
      apiKeyId: null,
      format: 'csv',
      unknownColumns: 'reject',
      source: null,
      body: Readable.from(body()),
      onBytes: () => {
        started = true
      },
    })
    await waitFor(() => started)
    if (when === 'upload') {
      await this.#stop(code, phone)
      this.#model.stop(code.id, phone)
    }
    uploaded.resolve()
    const { id } = await receiving
    if (when === 'slices') {
      await this.#stop(code, phone)
      this.#model.stop(code.id, phone, listId)
    }
    while (await applyNextSlice(this.#rt, id));
    this.#model.file(listId, numbers)
  }

  async move() {
    const listId = this.#pick(this.#model.openLists())
    const code = this.#pick(this.#codes)
    await changeList(this.#rt, this.#accountId, listId, {}, code.code)
    this.#model.move(listId, code.id)
  }

  async delete() {
    await this.send()
    const listId = this.#pick(this.#model.openLists())
    await deleteList(this.#rt, this.#accountId, listId)
    this.#model.deleteList(listId)
  }

  async broadcast() {
    const listId = this.#pick(this.#model.openLists())
    const list = await getList(this.#db, this.#accountId, listId)
    const { id } = await acceptBroadcast(this.#rt, { accountId: this.#accountId, list, content: 'Soup on Friday' })
    while (await expandOnce(this.#rt));
    this.#model.broadcast(id, listId)
  }

  async text() {
    const code = this.#pick(this.#codes)
    const phone = this.#pick(phones)
    const given = { accountId: this.#accountId, listId: null, shortCodeId: code.id, content: 'Ready', field: 'number' }
    const sending = sendToNumbers(this.#rt, { ...given, phones: [phone] })
    if (this.#model.isBlocked(code.id, phone)) await expect(sending).rejects.toThrow('has opted out')
    else this.#model.text((await sending).id, code.id, phone)
  }

  /** Marks all queued texts, as gateways do, and compares those that would be sent. */
  async send() {
    const claim = {
      owner: crypto.randomUUID(),
      leaseMs: 60_000,
      now: this.#clock.time,
      fromLane: 0,
      toLane: 9,
      limit: 999,
    }
    const sent: string[] = []
    for (const chunk of await claimChunks(this.#db, claim)) {
      const queued = await listQueued(this.#db, chunk)
      const ids = await markSubmitting(this.#db, chunk, queued, this.#clock.time)
      const kind = await this.#db.one<{ kind: string }>('kind', 'select kind from messages where id = $1', [
        chunk.messageId,
      ])
      for (const { id, phone } of queued) {
        const message = kind.kind === 'system' ? `request of ${chunk.listId}` : chunk.messageId
        if (ids.includes(id)) sent.push(`${message} to ${phone}`)
      }
    }
    // all of them have their responses
    await this.#db.exec('settle', 'delete from send_chunks')
    expect(sent.sort()).toEqual(this.#model.send().sort())
  }

  async #compare() {
    const states = await this.#db.many<{ key: string }>(
      'states',
      `select list_id || ' ' || phone || ' ' || state as key from subscribers`,
    )
    expect(states.map(({ key }) => key).sort()).toEqual(this.#model.states())
    const blocks = await this.#db.many<{ key: string }>(
      'blocks',
      `select short_code_id || ' ' || phone as key from blocks`,
    )
    expect(blocks.map(({ key }) => key).sort()).toEqual(this.#model.blocks())
    // the ledger alone says the same
    const recorded = await this.#db.many<{ key: string }>(
      'recorded',
      `select short_code_id || ' ' || phone as key
         from (select distinct on (short_code_id, phone) * from opts where short_code_id is not null
                order by short_code_id, phone, id desc) last
        where kind = 'opt_out'`,
    )
    expect(recorded.map(({ key }) => key).sort()).toEqual(this.#model.blocks())
  }
}

async function play(seed: number) {
  const { db, url, close } = await freshDatabase()
  try {
    const clock = { time: new Date('2026-03-02T10:00:00Z'), now: () => clock.time }
    const rt = makeRuntime({ db, url, clock })
    const { id: accountId } = await make.account(db)
    const codes = [await make.shortCode(db, { accountId }), await make.shortCode(db, { accountId })]
    const world = new World({ rt, clock, accountId, codes, random: randomFrom(seed) })
    try {
      await world.newList()
      for (let n = 0; n < steps; n++) await world.step()
      await world.send()
    } catch (error) {
      throw new Error(`seed ${seed}, after ${world.history.join(', ')}`, { cause: error })
    }
    return world.history
  } finally {
    await close()
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'random steps agree with the model of consent (seed %i)',
  { timeout: 60_000 },
  async (seed) => {
    expect(await play(seed)).toHaveLength(steps)
  },
)
