import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { numberEvents } from '../events/sequence.ts'
import { getList } from '../lists/lists.ts'
import { optOut } from '../opt-ins/opt-out.ts'
import { addSubscriber } from '../opt-ins/subscribe.ts'
import { interpretInbound, storeInbound } from './inbound.ts'

// A change of consent is one event, however many texts and requests ask for it at the same time.

const phone = 2_065_560_001
let database: TestDatabase
let connectionId: number
let list: Awaited<ReturnType<typeof make.list>>
let code: string
const rt = () => makeRuntime({ db: database.db })

beforeAll(async () => {
  database = await freshDatabase()
  connectionId = (await make.connection(database.db, { name: 'default' })).id
})
afterAll(() => database.close())
beforeEach(async () => {
  const { db } = database
  const { id: accountId } = await make.account(db)
  const shortCode = await make.shortCode(db, { accountId })
  code = shortCode.code
  list = await make.list(db, { accountId, shortCodeId: shortCode.id })
  await db.exec('listen', 'update lists set listeners = 31 where id = $1', [list.id])
})

const receive = (content: string) =>
  storeInbound(database.db, {
    connectionId,
    shortCode: code,
    phone,
    content,
    raw: Buffer.from(content),
    dataCoding: 0,
    receivedAt: new Date(),
  })
const interpret = async () => {
  while (await interpretInbound(rt()));
}
const optOutByApi = () =>
  optOut(rt(), { accountId: list.accountId, listId: list.id, phone, method: 'api', actor: 'key:1' })
const twenty = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: 20 }, work))

async function types(): Promise<string[]> {
  const found: string[] = []
  await numberEvents(database.db, async (_tx, events) => void found.push(...events.map(({ type }) => type)))
  return found
}

test('twenty simultaneous STOPs, some of them by the API, are one unsubscribe', async () => {
  await make.subscriber(database.db, { listId: list.id, phone })
  await Promise.all([
    twenty(async () => {
      await receive('STOP')
      await interpret()
    }),
    ...Array.from({ length: 5 }, optOutByApi),
  ])
  await interpret()
  expect(await types()).toEqual(['unsubscribe'])
})

test('twenty simultaneous adds are one subscribe, and twenty STARTs after a STOP as well', async () => {
  const full = await getList(database.db, list.accountId, list.id)
  const flags = { bypassProcess: true, bypassResponse: true }
  await twenty(() => addSubscriber(rt(), { list: full, phone, profile: {}, ...flags, actor: 'key:1' }))
  expect(await types()).toEqual(['subscribe'])
  await receive('STOP')
  await interpret()
  await twenty(() => receive('START'))
  await Promise.all([interpret(), interpret(), interpret()])
  await interpret()
  expect(await types()).toEqual(['unsubscribe', 'subscribe'])
})

test.each(['STOP', 'the API'])(
  'a number that was asked and opts out by %s before it confirms is no event',
  async (way) => {
    await database.db.exec('ask', `update lists set message_yes = 'Reply YES' where id = $1`, [list.id])
    const full = await getList(database.db, list.accountId, list.id)
    const states = () => database.db.many('states', 'select state from subscribers where list_id = $1', [list.id])
    await addSubscriber(rt(), {
      list: full,
      phone,
      profile: {},
      bypassProcess: false,
      bypassResponse: true,
      actor: 'key:1',
    })
    expect(await states()).toEqual([{ state: 'pending' }])
    if (way === 'STOP') await receive('STOP').then(interpret)
    else await optOutByApi()
    expect(await states()).toEqual([{ state: 'unsubscribed' }])
    expect(await types()).toEqual([])
  },
)

test('a cleaned subscriber that opts out is an event, and one that left and was asked again is no second one', async () => {
  const full = await getList(database.db, list.accountId, list.id)
  const set = (state: string) =>
    database.db.exec('set', 'update subscribers set state = $2 where list_id = $1', [list.id, state])
  await addSubscriber(rt(), {
    list: full,
    phone,
    profile: {},
    bypassProcess: true,
    bypassResponse: true,
    actor: 'key:1',
  })
  await set('cleaned')
  await optOutByApi()
  expect(await types()).toEqual(['subscribe', 'unsubscribe'])
  await set('pending')
  await optOutByApi()
  expect(await types()).toEqual([])
})

test('a STOP of a number on no list, or on a deleted list, is no event', async () => {
  await receive('STOP')
  await interpret()
  expect(await types()).toEqual([])
  await make.subscriber(database.db, { listId: list.id, phone })
  await database.db.exec('delete', 'update lists set deleted_at = now() where id = $1', [list.id])
  await receive('STOP')
  await interpret()
  expect(await types()).toEqual([])
})
