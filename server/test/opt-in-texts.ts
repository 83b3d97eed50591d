import { afterEach, beforeEach } from 'vitest'
import { expandOnce } from '../src/broadcasts/expand.ts'
import { interpretInbound, storeInbound } from '../src/inbound/inbound.ts'
import { attachKeywords } from '../src/keywords/keywords.ts'
import { getList } from '../src/lists/lists.ts'
import { claimChunks } from '../src/log/claims.queries.ts'
import { markSent, markSubmitting } from '../src/log/marks.queries.ts'
import { acceptBroadcast } from '../src/messages/messages.ts'
import { addSubscriber } from '../src/opt-ins/subscribe.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { make } from './make.ts'
import { listQueued } from './queued.ts'
import { makeRuntime } from './runtime.ts'

export const phone = 2_065_560_001
export const code = '77777'
export const clock = { time: new Date('2026-03-02T10:00:00Z'), now: () => clock.time }

type Given = { to?: string; deliveryKey?: string; part?: { reference: number; total: number; number: number } }

/** Creates a short code with two lists before each test; `text` stores a text from `phone`, and `interpret` interprets all of them. */
export function useOptInTexts() {
  const at = {} as {
    database: TestDatabase
    connectionId: number
    accountId: number
    shortCodeId: number
    soup: number
    bread: number
  }
  const rt = (db = at.database.db) => makeRuntime({ db, clock })

  beforeEach(async () => {
    clock.time = new Date('2026-03-02T10:00:00Z')
    at.database = await freshDatabase()
    const { db } = at.database
    at.connectionId = (await make.connection(db, { name: 'default' })).id
    at.accountId = (await make.account(db)).id
    at.shortCodeId = (await make.shortCode(db, { accountId: at.accountId, code })).id
    const given = { accountId: at.accountId, shortCodeId: at.shortCodeId }
    at.soup = (await make.list(db, { ...given, name: 'Soup' })).id
    at.bread = (await make.list(db, { ...given, name: 'Bread' })).id
  })
  afterEach(() => at.database.close())

  const text = (content: string, { to = code, deliveryKey, part }: Given = {}, db = at.database.db) =>
    storeInbound(db, {
      connectionId: at.connectionId,
      shortCode: to,
      phone,
      content,
      raw: Buffer.from(content),
      dataCoding: 0,
      receivedAt: clock.time,
      part,
      deliveryKey: deliveryKey === undefined ? null : Buffer.from(deliveryKey),
    })
  /** Interprets all MOs; the clock moves, so that times show the order. */
  const interpret = async (db = at.database.db) => {
    do clock.time = new Date(clock.time.getTime() + 1)
    while (await interpretInbound(rt(db)))
  }
  const receive = async (...contents: string[]) => {
    for (const content of contents) {
      await text(content)
      await interpret()
    }
  }
  const subscribe = async (listId: number) => {
    const list = await getList(at.database.db, at.accountId, listId)
    const flags = { bypassProcess: true, bypassResponse: true }
    await addSubscriber(rt(), { list, phone, profile: {}, ...flags, actor: 'key:1' })
  }
  const keyword = (listId: number, ...names: string[]) =>
    at.database.db.tx((tx) => attachKeywords(tx, { id: listId, shortCodeId: at.shortCodeId }, names, clock.time))

  const isBlocked = async () => (await at.database.db.many('blocks', 'select from blocks')).length > 0
  const stateOn = async (listId: number) => {
    const sql = 'select state from subscribers where list_id = $1'
    return (await at.database.db.maybeOne<{ state: string }>('state', sql, [listId]))?.state
  }
  const kinds = async () => {
    const rows = await at.database.db.many<{ kind: string }>('kinds', 'select kind from inbound_messages order by id')
    return rows.map(({ kind }) => kind)
  }
  /** Returns the rows of the ledger for this phone, in order. */
  const ledger = async () => {
    const rows = await at.database.db.many<{ row: string }>(
      'ledger',
      `select concat_ws(' ', kind, method, coalesce(list_id::text, 'no list'), wording, actor) as row from opts
        where method <> 'api' order by id`,
    )
    return rows.map(({ row }) => row)
  }
  const replies = async () => {
    const rows = await at.database.db.many<{ content: string }>(
      'replies',
      `select m.content from messages m where kind = 'system' order by id`,
    )
    return rows.map(({ content }) => content)
  }

  /** Marks all queued texts, as a gateway does; returns how many would be sent, and a function that records the responses. */
  async function submit() {
    const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: clock.time, fromLane: 0, toLane: 9, limit: 99 }
    const marked: Array<{ day: string; ids: number[] }> = []
    for (const chunk of await claimChunks(at.database.db, claim)) {
      const ids = await markSubmitting(at.database.db, chunk, await listQueued(at.database.db, chunk), clock.time)
      marked.push({ day: chunk.loggedOn, ids })
    }
    const respond = async () => {
      for (const { day, ids } of marked) {
        const parts = ids.map((logId) => ({ logId, phone, part: 0, smscId: `id${logId}`, complete: true }))
        await markSent(at.database.db, day, at.connectionId, parts)
      }
    }
    return { count: marked.flatMap(({ ids }) => ids).length, respond }
  }
  async function broadcast(listId: number) {
    const list = await getList(at.database.db, at.accountId, listId)
    await acceptBroadcast(rt(), { accountId: at.accountId, list, content: 'Soup on Friday' })
    while (await expandOnce(rt()));
  }

  return {
    ...{ at, rt, text, interpret, receive, subscribe, keyword, broadcast, submit },
    ...{ isBlocked, stateOn, kinds, ledger, replies },
  }
}
