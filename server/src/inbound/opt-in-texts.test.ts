import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { attachKeywords } from '../keywords/keywords.ts'
import { getList } from '../lists/lists.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSent, markSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { deleteList } from '../messages/stop/delete-list.ts'
import { optOut } from '../opt-ins/opt-out.ts'
import { addSubscriber } from '../opt-ins/subscribe.ts'
import { optOutByCarrier } from '../receipts/carrier-opt-outs.ts'
import { interpretInbound, storeInbound } from './inbound.ts'

// Texts by which a number that sent STOP opts in again, through the table of MOs. docs/consent.md states the rule.

const phone = 2_065_560_001
const code = '77777'
const clock = { time: new Date('2026-03-02T10:00:00Z'), now: () => clock.time }

let database: TestDatabase
let connectionId: number
let accountId: number
let shortCodeId: number
let soup: number
let bread: number
const rt = (db = database.db) => makeRuntime({ db, clock })

beforeEach(async () => {
  clock.time = new Date('2026-03-02T10:00:00Z')
  database = await freshDatabase()
  connectionId = (await make.connection(database.db, { name: 'default' })).id
  accountId = (await make.account(database.db)).id
  shortCodeId = (await make.shortCode(database.db, { accountId, code })).id
  soup = (await make.list(database.db, { accountId, shortCodeId, name: 'Soup' })).id
  bread = (await make.list(database.db, { accountId, shortCodeId, name: 'Bread' })).id
})
afterEach(() => database.close())

type Given = { to?: string; deliveryKey?: string; part?: { reference: number; total: number; number: number } }
const text = (content: string, { to = code, deliveryKey, part }: Given = {}, db = database.db) =>
  storeInbound(db, {
    connectionId,
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
const interpret = async (db = database.db) => {
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
  const list = await getList(database.db, accountId, listId)
  const flags = { bypassProcess: true, bypassResponse: true }
  await addSubscriber(rt(), { list, phone, profile: {}, ...flags, actor: 'key:1' })
}
const keyword = (listId: number, ...names: string[]) =>
  database.db.tx((tx) => attachKeywords(tx, { id: listId, shortCodeId }, names, clock.time))

const isBlocked = async () => (await database.db.many('blocks', 'select from blocks')).length > 0
const stateOn = async (listId: number) => {
  const sql = 'select state from subscribers where list_id = $1'
  return (await database.db.maybeOne<{ state: string }>('state', sql, [listId]))?.state
}
const kinds = async () => {
  const rows = await database.db.many<{ kind: string }>('kinds', 'select kind from inbound_messages order by id')
  return rows.map(({ kind }) => kind)
}
/** Returns the rows of the ledger for this phone, in order. */
const ledger = async () => {
  const rows = await database.db.many<{ row: string }>(
    'ledger',
    `select concat_ws(' ', kind, method, coalesce(list_id::text, 'no list'), wording, actor) as row from opts
      where method <> 'api' order by id`,
  )
  return rows.map(({ row }) => row)
}
const replies = async () => {
  const rows = await database.db.many<{ content: string }>(
    'replies',
    `select m.content from messages m where kind = 'system' order by id`,
  )
  return rows.map(({ content }) => content)
}

/** Marks all queued texts, as a gateway does; returns how many would be sent, and a function that records the responses. */
async function submit() {
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: clock.time, fromLane: 0, toLane: 9, limit: 99 }
  const marked: Array<{ day: string; ids: number[] }> = []
  for (const chunk of await claimChunks(database.db, claim)) {
    const ids = await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), clock.time)
    marked.push({ day: chunk.loggedOn, ids })
  }
  const respond = async () => {
    for (const { day, ids } of marked) {
      const parts = ids.map((logId) => ({ logId, phone, part: 0, smscId: `id${logId}`, complete: true }))
      await markSent(database.db, day, connectionId, parts)
    }
  }
  return { count: marked.flatMap(({ ids }) => ids).length, respond }
}
async function broadcast(listId: number) {
  const list = await getList(database.db, accountId, listId)
  await acceptBroadcast(rt(), { accountId, list, content: 'Soup on Friday' })
  while (await expandOnce(rt()));
}

test.each(['START', ' unstop! ', 'Yes 🙏'])('%j lifts the block, within the wait as well', async (word) => {
  await receive('STOP', word)
  expect(await isBlocked()).toBe(false)
  expect(await kinds()).toEqual(['opt_out', 'opt_in'])
  expect(await ledger()).toEqual(['opt_out stop no list STOP mo:1', `block_lifted start no list ${word} mo:2`])
})

test('START subscribes the number again to the lists that its STOP ended, and to no other', async () => {
  const asked = (await make.list(database.db, { accountId, shortCodeId })).id
  const left = (await make.list(database.db, { accountId, shortCodeId })).id
  const cleaned = (await make.list(database.db, { accountId, shortCodeId })).id
  const deleted = (await make.list(database.db, { accountId, shortCodeId })).id
  for (const id of [soup, bread, left, cleaned, deleted]) await subscribe(id)
  const list = await getList(database.db, accountId, asked)
  const flags = { bypassProcess: false, bypassResponse: false }
  await addSubscriber(rt(), { list, phone, profile: {}, ...flags, actor: 'key:1' })
  await optOut(rt(), { accountId, listId: left, phone, method: 'api', actor: 'key:1' })
  await database.db.exec('clean', `update subscribers set state = 'cleaned' where list_id = $1`, [cleaned])
  const clean = `insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
                 values ($1, $2, $3, 'cleaned', 'carrier', 'mt:1', $4)`
  await database.db.exec('clean_row', clean, [accountId, cleaned, phone, clock.time])
  await text('STOP')
  await interpret()
  await deleteList(rt(), accountId, deleted)
  await receive('STOP', 'START')
  expect(await Promise.all([soup, bread, asked, left, cleaned, deleted].map(stateOn))).toEqual([
    ...['subscribed', 'subscribed', 'unsubscribed', 'unsubscribed', 'unsubscribed', 'unsubscribed'],
  ])
  expect((await ledger()).slice(-3)).toEqual([
    `opt_in start ${soup} START mo:3`,
    `opt_in start ${bread} START mo:3`,
    'block_lifted start no list START mo:3',
  ])
  const { subscribed, unsubscribed } = await database.db.one<{ subscribed: number; unsubscribed: number }>(
    'counts',
    'select sum(subscribed)::int as subscribed, sum(unsubscribed)::int as unsubscribed from list_deltas where list_id = $1',
    [soup],
  )
  expect({ subscribed, unsubscribed }).toEqual({ subscribed: 1, unsubscribed: 0 })
})

test('START undoes only the STOPs since the last lift, and an add without flags after the STOP does not matter', async () => {
  await subscribe(soup)
  await receive('STOP')
  clock.time = new Date(clock.time.getTime() + 48 * 3_600_000)
  await subscribe(bread)
  await receive('STOP')
  clock.time = new Date(clock.time.getTime() + 48 * 3_600_000)
  const list = await getList(database.db, accountId, bread)
  const flags = { bypassProcess: false, bypassResponse: true }
  await addSubscriber(rt(), { list, phone, profile: {}, ...flags, actor: 'key:1' })
  expect(await stateOn(bread)).toBe('pending')
  await receive('START')
  expect(await Promise.all([soup, bread].map(stateOn))).toEqual(['unsubscribed', 'subscribed'])
})

test('START returns to a list of the short code only, also if the list has moved', async () => {
  const elsewhere = (await make.shortCode(database.db, { accountId, code: '88888' })).id
  for (const id of [soup, bread]) await subscribe(id)
  await receive('STOP')
  await database.db.exec('move', 'update lists set short_code_id = $2 where id = $1', [bread, elsewhere])
  await text('STOP', { to: '88888' })
  await text('START')
  await interpret()
  expect(await Promise.all([soup, bread].map(stateOn))).toEqual(['subscribed', 'unsubscribed'])
  const blocked = await database.db.many('blocked', 'select short_code_id as id from blocks')
  expect(blocked).toEqual([{ id: elsewhere }])
})

describe('a keyword', () => {
  test.each(['SAVENOW', 'save now', '"Save-Now!" 🙏', 'ｓａｖｅｎｏｗ'])(
    '%j lifts the block and returns to its list',
    async (word) => {
      await keyword(soup, 'SAVE-NOW')
      for (const id of [soup, bread]) await subscribe(id)
      await receive('STOP', word)
      expect(await isBlocked()).toBe(false)
      expect(await Promise.all([soup, bread].map(stateOn))).toEqual(['subscribed', 'unsubscribed'])
      expect((await ledger()).slice(-2)).toEqual([
        `opt_in keyword ${soup} ${word} mo:2`,
        `block_lifted keyword no list ${word} mo:2`,
      ])
      expect(await kinds()).toEqual(['opt_out', 'opt_in'])
    },
  )

  test('of a list that the number never was on lifts the block only', async () => {
    await keyword(soup, 'SOUP')
    await subscribe(bread)
    await receive('STOP', 'soup')
    expect(await isBlocked()).toBe(false)
    expect(await Promise.all([soup, bread].map(stateOn))).toEqual([undefined, 'unsubscribed'])
  })

  test.each([
    ['of another short code', () => keywordElsewhere()],
    ['that was released', () => database.db.exec('release', 'update keywords set released_at = now()')],
    ['of a deleted list', () => deleteList(rt(), accountId, soup)],
    ['in a sentence', () => Promise.resolve(), 'SOUP please'],
  ])('%s lifts nothing', async (_case, change, word = 'SOUP') => {
    await keyword(soup, 'SOUP')
    await change()
    await receive('STOP', word)
    expect(await isBlocked()).toBe(true)
    expect(await kinds()).toEqual(['opt_out', 'other'])
  })

  async function keywordElsewhere() {
    const elsewhere = (await make.shortCode(database.db, { accountId, code: '88888' })).id
    await database.db.exec('move_keyword', 'update keywords set short_code_id = $1', [elsewhere])
  }
})

test('without a block, START and keywords have no effect yet', async () => {
  await keyword(soup, 'SOUP')
  await receive('START', 'YES', 'soup')
  expect(await kinds()).toEqual(['other', 'other', 'other'])
  expect(await stateOn(soup)).toBeUndefined()
  expect(await ledger()).toEqual([])
})

test('a part of a longer text, and START to a destination that is not ours, lift nothing', async () => {
  await receive('STOP')
  await text('START', { part: { reference: 1, total: 2, number: 2 } })
  await text('START', { to: '5577777' })
  await interpret()
  expect(await isBlocked()).toBe(true)
})

describe('in order of arrival', () => {
  test.each([
    [['STOP', 'START', 'STOP'], true, ['opt_out', 'opt_in', 'block_lifted', 'opt_out']],
    [['STOP', 'START'], false, ['opt_out', 'opt_in', 'block_lifted']],
    [
      ['STOP', 'start', 'stop', 'Start'],
      false,
      ['opt_out', 'opt_in', 'block_lifted', 'opt_out', 'opt_in', 'block_lifted'],
    ],
    [['START', 'STOP'], true, ['opt_out']],
  ])('%j in one second, with two gateways', async (contents, blocked, expected) => {
    await subscribe(soup)
    for (const content of contents) await text(content)
    await Promise.all([interpret(), interpret()])
    await interpret()
    expect(await isBlocked()).toBe(blocked)
    expect(await stateOn(soup)).toBe(blocked ? 'unsubscribed' : 'subscribed')
    expect((await ledger()).map((row) => row.split(' ')[0])).toEqual(expected)
    // each STOP ends a list, and is confirmed
    expect(await replies()).toHaveLength(expected.filter((kind) => kind === 'opt_out').length)
  })

  test('a START that is committed after a newer STOP was applied lifts nothing', async () => {
    await receive('STOP')
    await database.db.tx(async (tx) => {
      await text('START', {}, tx)
      await receive('STOP')
    })
    await interpret()
    expect(await isBlocked()).toBe(true)
    expect(await kinds()).toEqual(['opt_out', 'other', 'opt_out'])
  })

  test('a newer STOP to a destination that is not ours counts as well', async () => {
    await receive('STOP')
    await database.db.tx(async (tx) => {
      await text('START', {}, tx)
      await text('STOP', { to: '5577777' })
      await interpret()
    })
    await interpret()
    expect(await isBlocked()).toBe(true)
  })

  test('an opt-out at the carrier counts from its receipt: only a later START lifts it', async () => {
    await text('START')
    const bounce = { logId: 1, phone, shortCode: code, carrierStatus: 'opted out' }
    await database.db.tx((tx) => optOutByCarrier(tx, [bounce], clock.time))
    await interpret()
    expect(await isBlocked()).toBe(true)
    await receive('START')
    expect(await isBlocked()).toBe(false)
  })

  test.each([code, '5577777'])('a START waits for the confirmation of a STOP to %s', async (to) => {
    await subscribe(soup)
    await broadcast(soup)
    const { respond } = await submit()
    await text('STOP', { to })
    await text('START')
    await interpret()
    expect(await isBlocked()).toBe(true)
    await respond()
    await interpret()
    expect(await isBlocked()).toBe(false)
    expect(await kinds()).toEqual(['opt_out', 'opt_in'])
  })
})

describe('an MO that arrives again', () => {
  test('a START that was applied lifts nothing twice', async () => {
    await receive('STOP')
    await text('START', { deliveryKey: 'a' })
    await interpret()
    await receive('STOP')
    await text('START', { deliveryKey: 'a' })
    await interpret()
    expect(await isBlocked()).toBe(true)
    expect((await ledger()).filter((row) => row.startsWith('block_lifted'))).toHaveLength(1)
  })

  test('a START whose gateway died before its commit is applied once', async () => {
    await subscribe(soup)
    await receive('STOP')
    await text('START', { deliveryKey: 'a' })
    const died = new Error('killed')
    const dying: Db = {
      ...database.db,
      tx: (work) =>
        database.db.tx(async (tx) => {
          const result = await work(tx)
          if ((await tx.many('lifted', `select from opts where kind = 'block_lifted'`)).length > 0) throw died
          return result
        }),
    }
    await interpret(dying)
    expect(await isBlocked()).toBe(true)
    await text('START', { deliveryKey: 'a' })
    await interpret()
    expect(await isBlocked()).toBe(false)
    expect((await ledger()).filter((row) => row.startsWith('opt_in'))).toHaveLength(1)
  })

  test('a copy of a STOP stops the START that has not been applied yet, because it may be a newer STOP', async () => {
    await text('STOP', { deliveryKey: 'a' })
    await interpret()
    await text('START')
    await text('STOP', { deliveryKey: 'a' })
    await interpret()
    expect(await isBlocked()).toBe(true)
    await receive('START')
    expect(await isBlocked()).toBe(false)
  })
})

test('a STOP after a START is confirmed again, also from a number on no list', async () => {
  await receive('STOP', 'STOP', 'START', 'STOP', 'STOP')
  expect(await replies()).toHaveLength(2)
})

describe('the welcome', () => {
  const welcome = (listId: number, content: string) =>
    database.db.exec('welcome', 'update lists set second_optin_message = $2 where id = $1', [listId, content])
  const repliesAfterStop = async () => (await replies()).slice(1)

  test('is that for a return, of the list that texted last', async () => {
    await welcome(soup, 'Soup again')
    await welcome(bread, 'Bread again')
    for (const id of [soup, bread]) await subscribe(id)
    await broadcast(soup)
    await (await submit()).respond()
    await broadcast(bread)
    await (await submit()).respond()
    await receive('STOP', 'START')
    expect(await repliesAfterStop()).toEqual(['Bread again'])
  })

  test('is not sent if the list has none, or does not send any', async () => {
    await welcome(soup, 'Soup again')
    await database.db.exec('bypass', 'update lists set bypass_opt_in_response = true where id = $1', [soup])
    for (const id of [soup, bread]) await subscribe(id)
    await receive('STOP', 'START')
    expect(await repliesAfterStop()).toEqual([])
  })

  test('is stopped by a STOP', async () => {
    await welcome(soup, 'Soup again')
    await subscribe(soup)
    await receive('STOP')
    await (await submit()).respond()
    await receive('START')
    expect(await repliesAfterStop()).toEqual(['Soup again'])
    await receive('STOP')
    const { count } = await submit()
    // the second confirmation
    expect(count).toBe(1)
  })
})

test('after START, broadcasts of the list are sent again', async () => {
  await subscribe(soup)
  await receive('STOP')
  await (await submit()).respond()
  await receive('START')
  await broadcast(soup)
  expect((await submit()).count).toBe(1)
})

test('many texts of blocked numbers that are no opt-in do not delay a STOP', async () => {
  await database.db.exec(
    'block_many',
    `insert into blocks (short_code_id, phone, since, last_mo_id)
     select $1, $2::bigint + n, now(), 0 from generate_series(1, 600) n`,
    [shortCodeId, phone],
  )
  await database.db.exec(
    'ordinary_texts',
    `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
     select $1, $2, $3::bigint + n, 'Why?', '', 0, now() from generate_series(1, 600) n`,
    [connectionId, code, phone],
  )
  const { id } = await text('STOP')
  for (let calls = 0; calls < 3; calls++) await interpretInbound(rt())
  await waitFor(async () => {
    const stop = 'select from inbound_messages where id = $1 and opted_out_at is not null'
    return (await database.db.many('stop', stop, [id])).length === 1
  })
})
