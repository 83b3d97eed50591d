import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expandOnce } from '../src/broadcasts/expand.ts'
import { readEnv } from '../src/config/config.ts'
import { Secret } from '../src/config/secret.ts'
import { changeConnection, createConnection, removeConnection } from '../src/connections/changes.ts'
import { ensureEnvironmentConnection, releaseEnvironment } from '../src/connections/environment.ts'
import { changeSendingSettings } from '../src/connections/sending-routes.ts'
import { createDraft, sendDraft, startDue } from '../src/messages/drafts/drafts.ts'
import { acceptBroadcast, sendSystemText, sendToNumbers } from '../src/messages/messages.ts'
import { pauseMessage, resumeMessage } from '../src/messages/stop/pause.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { make } from './make.ts'
import { noticesDuring } from './notices.ts'
import { makeRuntime } from './runtime.ts'
import { startSending } from './sending.ts'
import { waitFor } from './wait-for.ts'

// Work that is not announced starts with the next poll, so no other test detects a missing wake(). These tests check that
// each operation announces its own work and no other work.

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
const phone = 2_065_560_001
const content = 'The pantry opens at nine.'
const rt = () => makeRuntime({ db: database.db, url: database.url })
const notices = (action: () => Promise<unknown>) => noticesDuring(database.url, action)

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
  await make.subscriber(database.db, { listId: list.id, phone })
})
afterEach(() => database.close())

describe('an expansion is announced', () => {
  const broadcast = () => ({ accountId: list.accountId, list, content })

  test('by an accepted broadcast, whose slices then announce chunks', async () => {
    expect(await notices(() => acceptBroadcast(rt(), broadcast()))).toEqual(['expansions'])
    expect(await notices(() => expandOnce(rt()))).toEqual(['chunks'])
    expect(await notices(() => expandOnce(rt()))).toEqual([])
  })

  test('when a draft is sent, not when it is stored', async () => {
    let id = 0
    expect(await notices(async () => (id = (await createDraft(rt(), broadcast(), null)).id))).toEqual([])
    expect(await notices(() => sendDraft(rt(), list, id))).toEqual(['expansions'])
  })

  test('when a scheduled broadcast is due', async () => {
    const soon = new Date(Date.now() + 3_600_000)
    await createDraft(rt(), broadcast(), soon)
    expect(await notices(() => startDue(rt()))).toEqual([])
    expect(await notices(() => startDue({ ...rt(), clock: { now: () => soon } }))).toEqual(['expansions'])
  })
})

describe('chunks are announced', () => {
  const text = () => ({ accountId: list.accountId, listId: list.id, shortCodeId: list.shortCodeId, content })

  test('by texts to numbers', async () => {
    const send = () => sendToNumbers(rt(), { ...text(), phones: [phone], field: 'number' })
    expect(await notices(send)).toEqual(['chunks'])
  })

  test('by a system text', async () => {
    const send = () => database.db.tx((tx) => sendSystemText(tx, rt(), { ...text(), phone, consent: 'reply' }))
    expect(await notices(send)).toEqual(['chunks'])
  })

  test('when a broadcast is resumed, not when it is paused', async () => {
    const { id } = await acceptBroadcast(rt(), { accountId: list.accountId, list, content })
    while (await expandOnce(rt()));
    expect(await notices(() => pauseMessage(rt(), list.id, id))).toEqual([])
    expect(await notices(() => resumeMessage(rt(), list.id, id))).toEqual(['chunks'])
  })
})

describe('a change of connections is announced', () => {
  const given = () => ({ ...rt(), db: database.db })
  const connection = { name: 'Cedar SMS', host: '127.0.0.1', port: 1, enabled: false }

  test('when a connection is created, changed or removed, not by a change to the same values', async () => {
    let id = 0
    expect(await notices(async () => (id = (await createConnection(given(), connection)).id))).toEqual(['connections'])
    expect(await notices(() => changeConnection(given(), id, { window: 77 }))).toEqual(['connections'])
    expect(await notices(() => changeConnection(given(), id, { window: 77 }))).toEqual([])
    expect(await notices(() => removeConnection(given(), id))).toEqual(['connections'])
  })

  test("by changes of a short code's sending routes", async () => {
    const { code } = await make.shortCode(database.db, { accountId: list.accountId })
    expect(await notices(() => changeSendingSettings(database.db, code, { mps: 50 }))).toEqual(['connections'])
    expect(await notices(() => changeSendingSettings(database.db, code, { routes: [] }))).toEqual(['connections'])
  })

  test('when CARILLON_SMPP_URL is set, changed or removed', async () => {
    const ensure = (mps: number) => () => {
      const { smpp } = readEnv({ CARILLON_SMPP_URL: `smpp://carillon:swordfish@127.0.0.1:2775?mps=${mps}` })
      if (!smpp) throw new Error('the URL was not parsed')
      return ensureEnvironmentConnection(given(), { ...smpp, password: new Secret('swordfish') })
    }
    expect(await notices(ensure(50))).toEqual(['connections'])
    expect(await notices(ensure(50))).toEqual([])
    expect(await notices(ensure(60))).toEqual(['connections'])
    expect(await notices(() => releaseEnvironment(given()))).toEqual(['connections'])
    expect(await notices(() => releaseEnvironment(given()))).toEqual([])
  })

  test('when a gateway releases a bind slot to another', async () => {
    const sending = await startSending({ binds: 2 })
    try {
      const waitUntilBoundBy = (gateways: number) =>
        waitFor(
          async () => {
            const slots = await sending.db.many<{ gateway: string }>(
              'slots',
              'select leased_by as gateway from bind_slots where bound',
            )
            return slots.length === 2 && new Set(slots.map(({ gateway }) => gateway)).size === gateways
          },
          { timeoutMs: 15_000 },
        )
      await sending.startGateway()
      await waitUntilBoundBy(1)
      const startSecond = async () => {
        await sending.startGateway()
        await waitUntilBoundBy(2)
      }
      expect(await noticesDuring(sending.rt.databaseUrl, startSecond)).toEqual(['connections'])
    } finally {
      await sending.stop()
    }
  })
})
