import { describe, expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { clock, code, phone, useOptInTexts } from '../../test/opt-in-texts.ts'
import { waitFor } from '../../test/wait-for.ts'
import { getList } from '../lists/lists.ts'
import { deleteList } from '../messages/stop/delete-list.ts'
import { optOut } from '../opt-ins/opt-out.ts'
import { addSubscriber } from '../opt-ins/subscribe.ts'
import { interpretInbound } from './inbound.ts'

// Texts by which a number that sent STOP opts in again, through the table of MOs. docs/consent.md states the rule.

const {
  at,
  rt,
  text,
  interpret,
  receive,
  subscribe,
  keyword,
  broadcast,
  submit,
  isBlocked,
  stateOn,
  kinds,
  ledger,
  replies,
} = useOptInTexts()

test.each(['START', ' unstop! ', 'Yes 🙏'])('%j lifts the block, within the wait as well', async (word) => {
  await receive('STOP', word)
  expect(await isBlocked()).toBe(false)
  expect(await kinds()).toEqual(['opt_out', 'opt_in'])
  expect(await ledger()).toEqual(['opt_out stop no list STOP mo:1', `block_lifted start no list ${word} mo:2`])
})

test('START subscribes the number again to the lists that its STOP ended, and to no other', async () => {
  const asked = (await make.list(at.database.db, { accountId: at.accountId, shortCodeId: at.shortCodeId })).id
  const left = (await make.list(at.database.db, { accountId: at.accountId, shortCodeId: at.shortCodeId })).id
  const cleaned = (await make.list(at.database.db, { accountId: at.accountId, shortCodeId: at.shortCodeId })).id
  const deleted = (await make.list(at.database.db, { accountId: at.accountId, shortCodeId: at.shortCodeId })).id
  for (const id of [at.soup, at.bread, left, cleaned, deleted]) await subscribe(id)
  const list = await getList(at.database.db, at.accountId, asked)
  const flags = { bypassProcess: false, bypassResponse: false }
  await addSubscriber(rt(), { list, phone, profile: {}, ...flags, actor: 'key:1' })
  await optOut(rt(), { accountId: at.accountId, listId: left, phone, method: 'api', actor: 'key:1' })
  await at.database.db.exec('clean', `update subscribers set state = 'cleaned' where list_id = $1`, [cleaned])
  const clean = `insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
                 values ($1, $2, $3, 'cleaned', 'carrier', 'mt:1', $4)`
  await at.database.db.exec('clean_row', clean, [at.accountId, cleaned, phone, clock.time])
  await text('STOP')
  await interpret()
  await deleteList(rt(), at.accountId, deleted)
  await receive('STOP', 'START')
  expect(await Promise.all([at.soup, at.bread, asked, left, cleaned, deleted].map(stateOn))).toEqual([
    ...['subscribed', 'subscribed', 'unsubscribed', 'unsubscribed', 'unsubscribed', 'unsubscribed'],
  ])
  expect((await ledger()).slice(-3)).toEqual([
    `opt_in start ${at.soup} START mo:3`,
    `opt_in start ${at.bread} START mo:3`,
    'block_lifted start no list START mo:3',
  ])
  const { subscribed, unsubscribed } = await at.database.db.one<{ subscribed: number; unsubscribed: number }>(
    'counts',
    'select sum(subscribed)::int as subscribed, sum(unsubscribed)::int as unsubscribed from list_deltas where list_id = $1',
    [at.soup],
  )
  expect({ subscribed, unsubscribed }).toEqual({ subscribed: 1, unsubscribed: 0 })
})

test('START undoes only the STOPs since the last lift, and an add without flags after the STOP does not matter', async () => {
  await subscribe(at.soup)
  await receive('STOP')
  clock.time = new Date(clock.time.getTime() + 48 * 3_600_000)
  await subscribe(at.bread)
  await receive('STOP')
  clock.time = new Date(clock.time.getTime() + 48 * 3_600_000)
  const list = await getList(at.database.db, at.accountId, at.bread)
  const flags = { bypassProcess: false, bypassResponse: true }
  await addSubscriber(rt(), { list, phone, profile: {}, ...flags, actor: 'key:1' })
  expect(await stateOn(at.bread)).toBe('pending')
  await receive('START')
  expect(await Promise.all([at.soup, at.bread].map(stateOn))).toEqual(['unsubscribed', 'subscribed'])
})

test('START returns to a list of the short code only, also if the list has moved', async () => {
  const elsewhere = (await make.shortCode(at.database.db, { accountId: at.accountId, code: '88888' })).id
  for (const id of [at.soup, at.bread]) await subscribe(id)
  await receive('STOP')
  await at.database.db.exec('move', 'update lists set short_code_id = $2 where id = $1', [at.bread, elsewhere])
  await text('STOP', { to: '88888' })
  await text('START')
  await interpret()
  expect(await Promise.all([at.soup, at.bread].map(stateOn))).toEqual(['subscribed', 'unsubscribed'])
  const blocked = await at.database.db.many('blocked', 'select short_code_id as id from blocks')
  expect(blocked).toEqual([{ id: elsewhere }])
})

describe('a keyword', () => {
  test.each(['SAVENOW', 'save now', '"Save-Now!" 🙏', 'ｓａｖｅｎｏｗ'])(
    '%j lifts the block and returns to its list',
    async (word) => {
      await keyword(at.soup, 'SAVE-NOW')
      for (const id of [at.soup, at.bread]) await subscribe(id)
      await receive('STOP', word)
      expect(await isBlocked()).toBe(false)
      expect(await Promise.all([at.soup, at.bread].map(stateOn))).toEqual(['subscribed', 'unsubscribed'])
      expect((await ledger()).slice(-2)).toEqual([
        `opt_in keyword ${at.soup} ${word} mo:2`,
        `block_lifted keyword no list ${word} mo:2`,
      ])
      expect(await kinds()).toEqual(['opt_out', 'opt_in'])
    },
  )

  test('of a list that the number never was on lifts the block only', async () => {
    await keyword(at.soup, 'SOUP')
    await subscribe(at.bread)
    await receive('STOP', 'soup')
    expect(await isBlocked()).toBe(false)
    expect(await Promise.all([at.soup, at.bread].map(stateOn))).toEqual([undefined, 'unsubscribed'])
  })

  test.each([
    ['of another short code', () => keywordElsewhere()],
    ['that was released', () => at.database.db.exec('release', 'update keywords set released_at = now()')],
    ['of a deleted list', () => deleteList(rt(), at.accountId, at.soup)],
    ['in a sentence', () => Promise.resolve(), 'SOUP please'],
  ])('%s lifts nothing', async (_case, change, word = 'SOUP') => {
    await keyword(at.soup, 'SOUP')
    await change()
    await receive('STOP', word)
    expect(await isBlocked()).toBe(true)
    expect(await kinds()).toEqual(['opt_out', 'other'])
  })

  async function keywordElsewhere() {
    const elsewhere = (await make.shortCode(at.database.db, { accountId: at.accountId, code: '88888' })).id
    await at.database.db.exec('move_keyword', 'update keywords set short_code_id = $1', [elsewhere])
  }
})

test('without a block, START and keywords have no effect yet', async () => {
  await keyword(at.soup, 'SOUP')
  await receive('START', 'YES', 'soup')
  expect(await kinds()).toEqual(['other', 'other', 'other'])
  expect(await stateOn(at.soup)).toBeUndefined()
  expect(await ledger()).toEqual([])
})

test('a part of a longer text, and START to a destination that is not ours, lift nothing', async () => {
  await receive('STOP')
  await text('START', { part: { reference: 1, total: 2, number: 2 } })
  await text('START', { to: '5577777' })
  await interpret()
  expect(await isBlocked()).toBe(true)
})

test('a STOP after a START is confirmed again, also from a number on no list', async () => {
  await receive('STOP', 'STOP', 'START', 'STOP', 'STOP')
  expect(await replies()).toHaveLength(2)
})

describe('the welcome', () => {
  const welcome = (listId: number, content: string) =>
    at.database.db.exec('welcome', 'update lists set second_optin_message = $2 where id = $1', [listId, content])
  const repliesAfterStop = async () => (await replies()).slice(1)

  test('is that for a return, of the list that texted last', async () => {
    await welcome(at.soup, 'Soup again')
    await welcome(at.bread, 'Bread again')
    for (const id of [at.soup, at.bread]) await subscribe(id)
    await broadcast(at.soup)
    await (await submit()).respond()
    await broadcast(at.bread)
    await (await submit()).respond()
    await receive('STOP', 'START')
    expect(await repliesAfterStop()).toEqual(['Bread again'])
  })

  test('is not sent if the list has none, or does not send any', async () => {
    await welcome(at.soup, 'Soup again')
    await at.database.db.exec('bypass', 'update lists set bypass_opt_in_response = true where id = $1', [at.soup])
    for (const id of [at.soup, at.bread]) await subscribe(id)
    await receive('STOP', 'START')
    expect(await repliesAfterStop()).toEqual([])
  })

  test('is stopped by a STOP', async () => {
    await welcome(at.soup, 'Soup again')
    await subscribe(at.soup)
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
  await subscribe(at.soup)
  await receive('STOP')
  await (await submit()).respond()
  await receive('START')
  await broadcast(at.soup)
  expect((await submit()).count).toBe(1)
})

test('many texts of blocked numbers that are no opt-in do not delay a STOP', async () => {
  await at.database.db.exec(
    'block_many',
    `insert into blocks (short_code_id, phone, since, last_mo_id)
     select $1, $2::bigint + n, now(), 0 from generate_series(1, 600) n`,
    [at.shortCodeId, phone],
  )
  await at.database.db.exec(
    'ordinary_texts',
    `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
     select $1, $2, $3::bigint + n, 'Why?', '', 0, now() from generate_series(1, 600) n`,
    [at.connectionId, code, phone],
  )
  const { id } = await text('STOP')
  for (let calls = 0; calls < 3; calls++) await interpretInbound(rt())
  await waitFor(async () => {
    const stop = 'select from inbound_messages where id = $1 and opted_out_at is not null'
    return (await at.database.db.many('stop', stop, [id])).length === 1
  })
})
