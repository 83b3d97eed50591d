import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ApiCaller, basic, makeCaller } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { csvUpload } from '../../test/uploads.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Config } from '../config/config.ts'
import { makeApp } from '../http/app.ts'
import { type HttpTiming, timing } from '../http/timing.ts'
import { lockStagedBytes } from './imports.queries.ts'
import { receiveImport } from './imports.ts'

// Clients that send a file as slowly as they are allowed to, or never send its end.

type Sender = { caller: ApiCaller; listId: number }

let database: TestDatabase
let app: FastifyInstance
let dataDir: string
let slow: Sender
let other: Sender
let open: ClientRequest[] = []
const drips: NodeJS.Timeout[] = []

beforeEach(async () => {
  database = await freshDatabase()
  dataDir = await mkdtemp(join(tmpdir(), 'carillon-uploads-'))
})
afterEach(async () => {
  for (const drip of drips) clearInterval(drip)
  for (const upload of open) upload.destroy()
  open = []
  await app.close()
  await database.close()
  await rm(dataDir, { recursive: true })
})

async function start(durations: Partial<HttpTiming>, uploads: Partial<Config['uploads']> = {}) {
  const rt = makeRuntime(database)
  const config = { ...rt.config, dataDir, uploads: { ...rt.config.uploads, ...uploads } }
  app = await makeApp({ ...rt, config }, { ...timing, ...durations })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const senders: Sender[] = []
  for (let n = 0; n < 2; n++) {
    const caller = await makeCaller(database.db, app)
    const list = await make.list(database.db, { accountId: caller.accountId, shortCodeId: caller.shortCode.id })
    senders.push({ caller, listId: list.id })
  }
  ;[slow, other] = senders as [Sender, Sender]
}

function startUpload({ caller, listId }: Sender, headers: Record<string, string> = {}) {
  const { port } = app.server.address() as AddressInfo
  const upload = request({
    host: '127.0.0.1',
    port,
    path: `/api/v2/lists/${listId}/imports`,
    method: 'POST',
    headers: { authorization: basic(caller.key), 'content-type': 'text/csv', ...headers },
  })
  open.push(upload)
  const response = once(upload, 'response').then(async ([incoming]: IncomingMessage[]) => {
    let text = ''
    for await (const chunk of incoming ?? []) text += chunk
    return { status: incoming?.statusCode, retryAfter: incoming?.headers['retry-after'], body: JSON.parse(text) }
  })
  response.catch(() => {})
  upload.on('error', () => {})
  return { upload, response }
}

/** Starts an upload that sends a byte every 20 ms. */
function drip(sender: Sender, headers?: Record<string, string>) {
  const started = startUpload(sender, headers)
  started.upload.write('phone,first_name\n2')
  drips.push(setInterval(() => started.upload.write('0'), 20))
  return started
}

async function importRows(sender: Sender, rows: number) {
  const { upload, response } = startUpload(sender)
  upload.end(`phone\n${Array.from({ length: rows }, (_, n) => `${2062000000 + n}\n`).join('')}`)
  return response
}

async function countRows(table: string): Promise<number> {
  const { n } = await database.db.one<{ n: number }>(`count_${table}`, `select count(*) as n from ${table}`)
  return n
}

function countTransactions() {
  return database.db.one<{ transactions: number; imports: number }>(
    'count_transactions',
    `select (select count(*) from imports) as imports,
            (select count(*) from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
                and backend_type = 'client backend') as transactions`,
  )
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return (performance.now() - startedAt) / 1_000
}

/** Imports five files of another account, one by one, and returns the median time in seconds. */
async function timeImports(): Promise<number> {
  const seconds: number[] = []
  for (let n = 0; n < 5; n++) {
    seconds.push(await secondsOf(async () => expect(await importRows(other, 1_000)).toMatchObject({ status: 202 })))
  }
  return seconds.sort((a, b) => a - b)[2] as number
}

test.each([4, 40])(
  '%i dripping uploads of an account and of a stranger do not delay imports of another',
  async (count) => {
    await start({ uploadWaitMs: 2_000, discardMs: 500 })
    const alone = await timeImports()
    const uploads = Array.from({ length: count }, () => drip(slow))
    const rejected: unknown[] = []
    let closed = 0
    for (const { response } of uploads) response.then((incoming) => rejected.push(incoming)).catch(() => closed++)
    const strangers = Array.from({ length: count }, () => drip(slow, { authorization: basic('wrong') }))
    expect(await Promise.all(strangers.map(({ response }) => response))).toMatchObject(
      Array(count).fill({ status: 401 }),
    )
    // a wait for a place would take two seconds
    expect(await timeImports()).toBeLessThan(Math.max(3 * alone, 0.5))
    // four have places, and the others learn when to come back
    await waitFor(() => rejected.length + closed >= count - 4)
    for (const response of rejected) {
      expect(response).toMatchObject({ status: 503, retryAfter: '2', body: { code: 'uploads_busy' } })
    }
    expect(rejected.length).toBe(count - 4)
    // a client that has not sent its file has no transaction
    expect(await countTransactions()).toEqual({ transactions: 0, imports: 10 })
  },
)

test('dripping uploads end with a 408, store nothing and free their places', async () => {
  await start({ uploadGraceMs: 300 })
  const slowOnes = Array.from({ length: 12 }, () => drip(slow))
  const responses = await Promise.all(slowOnes.map(({ response }) => response))
  expect(responses).toMatchObject(Array(12).fill({ status: 408 }))
  expect(await countTransactions()).toMatchObject({ imports: 0 })
  expect(await importRows(slow, 10)).toMatchObject({ status: 202 })
})

test('an upload with an Idempotency-Key that drips has no transaction, and its key is free afterwards', async () => {
  await start({ uploadGraceMs: 2_000 })
  const headers = { 'idempotency-key': 'k' }
  const { response } = drip(slow, headers)
  await waitFor(async () => (await countRows('idempotency_keys')) === 1)
  let isEnded = false
  void response.then(() => {
    isEnded = true
  })
  // the transaction that stores the key may not have ended yet
  await waitFor(async () => (await countTransactions()).transactions === 0)
  expect(isEnded).toBe(false)
  expect(await response).toMatchObject({ status: 408 })
  const again = startUpload(slow, headers)
  again.upload.end('phone\n2062000101\n')
  expect(await again.response).toMatchObject({ status: 202 })
})

test('an upload ends after its time limit, however fast it is', async () => {
  await start({ uploadMaxMs: 200 })
  const { upload, response } = startUpload(slow)
  const row = '2062000101\n'.repeat(100)
  upload.write('phone\n')
  drips.push(setInterval(() => upload.write(row), 5))
  expect(await response).toMatchObject({ status: 408, body: { code: 'upload_stalled' } })
})

test('a repeated upload with an Idempotency-Key ends with a 408, too, if it drips', async () => {
  await start({ uploadGraceMs: 300 })
  const headers = { 'idempotency-key': 'k' }
  const first = startUpload(slow, headers)
  first.upload.end('phone\n2062000101\n')
  expect(await first.response).toMatchObject({ status: 202 })
  expect(await drip(slow, headers).response).toMatchObject({ status: 408 })
})

test('clients that leave free their places at once', async () => {
  await start({})
  // four have places, eight wait, and one is rejected
  const slowOnes = Array.from({ length: 13 }, () => drip(slow))
  expect(await Promise.race(slowOnes.map(({ response }) => response))).toMatchObject({ status: 503 })
  for (const { upload } of slowOnes) upload.destroy()
  expect(await importRows(slow, 10)).toMatchObject({ status: 202 })
})

test('rows of an unfinished upload are in a file without a name, and all of them are stored in the end', async () => {
  await start({})
  const { upload, response } = startUpload(slow)
  const rows = 40_000
  upload.write(
    `phone,email\n${Array.from({ length: rows }, (_, n) => `${2062000000 + n},a${n}@example.org\n`).join('')}`,
  )
  await waitFor(() => existsSync(join(dataDir, 'uploads')))
  await waitFor(async () => (await readdir(join(dataDir, 'uploads'))).length === 0)
  upload.end()
  const { status, body } = await response
  expect(status).toBe(202)
  const { count } = await database.db.one<{ count: number }>(
    'count_staged_rows',
    `select count(distinct phone) as count from import_rows_${body.import.id}`,
  )
  expect(count).toBe(rows)
})

test('files of an account that have arrived use one database connection at a time', async () => {
  await start({})
  const responses = await database.db.tx(async (tx) => {
    await tx.exec('lock', 'lock table imports in exclusive mode')
    const own = Array.from({ length: 4 }, () => importRows(slow, 10))
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await waitFor(async () => (await database.db.exec('waiting', waiting)) === 1)
    const foreign = importRows(other, 10)
    await waitFor(async () => (await database.db.exec('waiting', waiting)) === 2)
    return [...own, foreign]
  })
  expect(await Promise.all(responses)).toMatchObject(Array(5).fill({ status: 202 }))
})

test('rows need space: too many of them are a 413, or a 503 until the others are applied', async () => {
  await start({}, { diskBytes: 1_000_000 })
  // a row of COPY has about as many bytes
  const rowsOf = (bytes: number) => Math.floor(bytes / 60)
  const tooLarge = await importRows(slow, rowsOf(1_100_000))
  expect(tooLarge).toMatchObject({ status: 413, body: { code: 'upload_too_large' } })
  expect(await importRows(slow, rowsOf(400_000))).toMatchObject({ status: 202 })
  const full = { status: 503, retryAfter: '60', body: { code: 'upload_space_full' } }
  expect(await importRows(slow, rowsOf(400_000))).toMatchObject(full)
  // another account still gets its share
  expect(await importRows(other, rowsOf(200_000))).toMatchObject({ status: 202 })
  await database.db.exec('apply', `update imports set status = 'done'`)
  expect(await importRows(slow, rowsOf(400_000))).toMatchObject({ status: 202 })
})

test('files that two api processes copy at a time do not get more space together', async () => {
  await start({})
  const rt = makeRuntime(database)
  const config = { ...rt.config, dataDir, uploads: { ...rt.config.uploads, diskBytes: 1_000_000 } }
  // each call has the budget of a process of its own
  const receive = () =>
    receiveImport(
      { ...rt, config },
      csvUpload(
        { id: slow.listId, accountId: slow.caller.accountId },
        `phone\n${Array.from({ length: 7_000 }, (_, n) => `${2062000000 + n}\n`).join('')}`,
      ),
    ).then(
      () => 'stored',
      (error) => error.code,
    )
  const outcomes = await database.db.tx(async (tx) => {
    await lockStagedBytes(tx)
    const both = [receive(), receive()]
    const waiting = `select from pg_locks where locktype = 'advisory' and not granted`
    await waitFor(async () => (await database.db.exec('waiting', waiting)) === 2)
    return both
  })
  expect((await Promise.all(outcomes)).sort()).toEqual(['stored', 'upload_space_full'])
})
