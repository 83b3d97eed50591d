import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { linesOf } from '../../test/momt-world.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { takeTurn } from '../jobs/turns.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import type { Runtime } from '../runtime.ts'
import { folderOf } from './momt-files.ts'
import { listReportParts } from './momt-parts.queries.ts'
import { reportsQueue } from './momt-reports.jobs.ts'
import { findMomtReport, type NewMomtReport } from './momt-reports.queries.ts'
import { latestTextMs, orderMomtReport } from './momt-reports.ts'

// Reports whose period has just ended, while texts of the period are still being written.

const clock = { time: new Date(0), now: () => clock.time }
const pass = (ms: number) => {
  clock.time = new Date(clock.time.getTime() + ms)
}
const filesDir = mkdtempSync(join(tmpdir(), 'carillon-files-'))
let database: TestDatabase
let rt: Runtime
let list: { id: number; shortCodeId: number; accountId: number }

beforeAll(async () => {
  database = await freshDatabase()
  const runtime = makeRuntime({ db: database.db, url: database.url, clock })
  rt = { ...runtime, config: { ...runtime.config, filesDir } }
})
afterAll(async () => {
  await database.close()
  rmSync(filesDir, { recursive: true })
})
beforeEach(async () => {
  clock.time = new Date('2031-03-02T18:00:00Z')
  const { id: accountId } = await make.account(rt.db)
  const { id: shortCodeId } = await make.shortCode(rt.db, { accountId })
  const { id } = await make.list(rt.db, { accountId, shortCodeId })
  list = { id, shortCodeId, accountId }
  for (let n = 0; n < 3; n++) await make.subscriber(rt.db, { listId: id, phone: 2_065_550_100 + n })
  await rt.db.exec('make_day', `select ensure_log_day('2031-03-02')`)
})

const accept = (content: string, db = rt.db) =>
  acceptBroadcast({ ...rt, db }, { accountId: list.accountId, list, content })

const expand = async () => {
  while (await expandOnce(rt)) {}
}

/** Accepts a broadcast in a transaction that is open until `commit` is called. */
async function acceptSlowly(content: string) {
  const accepted = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const committed = rt.db.tx(async (tx) => {
    await accept(content, tx)
    accepted.resolve()
    await released.promise
  })
  await accepted.promise
  return {
    async commit() {
      released.resolve()
      await committed
    },
  }
}

const filters = { direction: null, statuses: null, messageType: null, shortCode: null, listId: null }
const noFilters = { ...filters, messageId: null, carrier: null, phone: null, reason: null, clicked: null, link: null }

/** Orders a report of a period that ends now, and lets the time pass after which it is due. */
async function order(given: Partial<NewMomtReport> = {}): Promise<number> {
  const { id } = await orderMomtReport(rt, {
    ...{ accountId: list.accountId, dateFrom: new Date('2031-03-02T00:00:00Z'), dateFromOffset: 'Z' },
    ...{ dateTo: clock.now(), dateToOffset: 'Z', filters: noFilters, format: 'json', gzip: false },
    webhookCallbackUrl: null,
    ...given,
  })
  pass(latestTextMs)
  return id
}

async function run(id: number) {
  while (await takeTurn(rt, reportsQueue, { lastAccount: 0 })) {}
  const report = await findMomtReport(rt.db, list.accountId, id)
  if (!report) throw new Error('there is no such report')
  const parts = await listReportParts(rt.db, id)
  const text = parts.map(({ name }) => readFileSync(join(filesDir, folderOf(report), name), 'utf8')).join('')
  return { ...report, contents: report.countsCalculated ? linesOf(text).map(({ content }) => content) : undefined }
}

const three = (content: string) => [content, content, content]

describe('a report whose period ends now', () => {
  test('has a message that was accepted first and commits last', async () => {
    const slow = await acceptSlowly('first')
    pass(1_000)
    await accept('second')
    await expand()
    const id = await order()
    expect(await run(id)).toMatchObject({ importStartedAt: null, totalRows: null, countsCalculated: false })
    await slow.commit()
    await expand()
    pass(1_000)
    expect(await run(id)).toMatchObject({ runErrors: null, contents: [...three('first'), ...three('second')] })
  })

  test('is not run before the transactions can have begun that accept its messages', async () => {
    const id = await order()
    pass(-1)
    expect(await run(id)).toMatchObject({ countsCalculated: false })
    pass(1)
    expect(await run(id)).toMatchObject({ contents: [] })
  })

  test('has all texts of a broadcast that was not expanded', async () => {
    await accept('big')
    const id = await order()
    expect(await run(id)).toMatchObject({ totalRows: null, countsCalculated: false })
    await expand()
    pass(1_000)
    expect(await run(id)).toMatchObject({ totalRows: 3, contents: three('big') })
  })

  test('has no message that was accepted after its order, even if it ends later', async () => {
    await accept('before')
    await expand()
    const id = await order({ dateTo: new Date('2031-03-03T00:00:00Z') })
    await accept('after')
    await expand()
    expect(await run(id)).toMatchObject({ totalRows: 3, contents: three('before') })
  })

  test('waits for ten minutes at most, and then says that texts may be missing', async () => {
    await accept('expanded')
    await expand()
    await accept('never expanded')
    const id = await order()
    pass(599_000 - latestTextMs)
    expect(await run(id)).toMatchObject({ countsCalculated: false })
    pass(2_000)
    const runErrors = 'texts that were still being written after ten minutes may be missing'
    expect(await run(id)).toMatchObject({ runErrors, contents: three('expanded') })
    await expand()
  })
})

test('a report of a period that ended before the open transactions began does not wait for them', async () => {
  await accept('yesterday')
  await expand()
  const dateTo = clock.now()
  pass(86_400_000)
  const slow = await acceptSlowly('today')
  const id = await order({ dateTo })
  expect(await run(id)).toMatchObject({ contents: three('yesterday') })
  await slow.commit()
  await expand()
})
