import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import { makeApp } from '../http/app.ts'
import { ClickSpool, readClicks } from './click-spool.ts'
import { listEarlierClicks } from './clicks.queries.ts'
import { type Click, storeClicks } from './clicks.ts'
import { ClickDrain } from './drain.ts'
import { linkTokensOf } from './link-tokens.ts'

const api = useApi()
const log = pino({ level: 'silent' })
const at = new Date('2026-03-02T10:00:00Z')
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'clicks-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function addLink(db: Db): Promise<number> {
  const account = await make.account(db)
  const shortCode = await make.shortCode(db, { accountId: account.id })
  const list = await make.list(db, { accountId: account.id, shortCodeId: shortCode.id })
  const { id } = await db.one<{ id: number }>(
    'add_link',
    `with m as (
       insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, created_at, accepted_at, logged_on)
       values ($1, $2, $3, 'broadcast', 'https://a.example', 'subscribed', 1, 'sending', $4, $4, '2026-03-02') returning id)
     insert into links (message_id, position, link) select id, 0, 'https://a.example' from m returning id`,
    [account.id, list.id, shortCode.id, at],
  )
  return id
}

/** Clicks of different recipients, each a minute after the one before. */
const clicksOf = (linkId: number, count: number): Click[] =>
  Array.from({ length: count }, (_, n) => {
    return { linkId, phone: 2065550000 + n, clickedAt: new Date(at.getTime() + n * 60_000), rule: null }
  })

async function write(clicks: Click[]): Promise<void> {
  const spool = new ClickSpool(folder)
  await Promise.all(clicks.map((click) => spool.append(click)))
  await spool.close()
}

const stored = (db: Db) =>
  db.one<{ rows: number; counted: number; people: number }>(
    'stored',
    `select (select count(*) from clicks) as rows, sum(click_count)::bigint as counted, sum(unique_click_count)::bigint as people from links`,
  )

/** A log whose lines are kept. */
function recorded() {
  const lines: Array<Record<string, unknown>> = []
  return { lines, log: pino({}, { write: (line: string) => lines.push(JSON.parse(line)) }) }
}

const all = (n: number) => ({ rows: n, counted: n, people: n })

/** A database that fails at its n-th statement or commit; the transaction around it is rolled back. */
function failingAt(db: Db, n: number): Db {
  let left = n
  const check = () => {
    if (left-- === 0) throw Object.assign(new Error('killed'), { code: 'ECONNRESET' })
  }
  const guarded = (inner: Db): Db =>
    new Proxy(inner, {
      get(target, name) {
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown
        if (name !== 'tx') {
          return (...args: unknown[]) => {
            check()
            return method(...args)
          }
        }
        return (work: (tx: Db) => Promise<unknown>) =>
          target.tx(async (tx) => {
            const result = await work(guarded(tx))
            check()
            return result
          })
      },
    })
  return guarded(db)
}

describe('clicks in a file', () => {
  test('are stored once, whichever statement fails', async () => {
    await write(clicksOf(await addLink(api.db), 50))
    let failures = 0
    for (let n = 0; ; n++) {
      try {
        await new ClickDrain({ db: failingAt(api.db, n), log }, folder).round()
        break
      } catch {
        failures++
        expect(await stored(api.db)).toMatchObject({ rows: 0, counted: 0 })
      }
    }
    expect(failures).toBeGreaterThan(6)
    // the memory of a process that was killed after the commit is lost
    await new ClickDrain({ db: api.db, log }, folder).round()
    expect(await stored(api.db)).toEqual(all(50))
  })

  test('are deleted when they are stored and no process appends to the file any more', async () => {
    await write(clicksOf(await addLink(api.db), 5))
    const [name = ''] = readdirSync(folder)
    const drain = new ClickDrain({ db: api.db, log }, folder)
    await drain.round()
    expect(readdirSync(folder)).toEqual([name])
    utimesSync(join(folder, name), 1, 1)
    await drain.round()
    expect([readdirSync(folder), await api.db.many('spools', 'select from click_spools')]).toEqual([[], []])
    expect(await stored(api.db)).toEqual(all(5))
  })

  test('are stored up to a line without an end, and damaged lines are skipped', async () => {
    const linkId = await addLink(api.db)
    await write(clicksOf(linkId, 3))
    const path = join(folder, readdirSync(folder)[0] ?? '')
    appendFileSync(path, `\0\0\n[1,2]\n[${linkId},"x",1,null]\n[${linkId},2065550199,${at.getTime()}`)
    const drain = new ClickDrain({ db: api.db, log }, folder)
    await drain.round()
    await drain.round()
    expect(await stored(api.db)).toEqual(all(3))
    appendFileSync(path, ',null]\n')
    await drain.round()
    expect(await stored(api.db)).toEqual(all(4))
  })

  test.each<[string, (path: string) => void]>([
    ['that cannot be read', (path) => mkdirSync(path)],
    ['that cannot be opened', (path) => symlinkSync(path, path)],
  ])('are stored although an older file %s fails, which is logged once', async (_what, spoil) => {
    await write(clicksOf(await addLink(api.db), 3))
    spoil(join(folder, '0-oldest.clicks'))
    const { lines, log } = recorded()
    const drain = new ClickDrain({ db: api.db, log }, folder)
    await drain.round()
    await drain.round()
    expect(await stored(api.db)).toEqual(all(3))
    expect(lines).toMatchObject([
      { level: 50, file: '0-oldest.clicks', msg: 'a file of clicks cannot be stored, retrying', err: {} },
    ])
  })

  test.each([8.64e15 + 1, Number.MAX_SAFE_INTEGER])('at %d ms, which is no time, are damaged', async (time) => {
    const linkId = await addLink(api.db)
    writeFileSync(join(folder, '0-oldest.clicks'), `[${linkId},2065550199,${time},null]\n`)
    await write(clicksOf(linkId, 3))
    const { lines, log } = recorded()
    await new ClickDrain({ db: api.db, log }, folder).round()
    expect(await stored(api.db)).toEqual(all(3))
    expect(lines).toMatchObject([{ file: '0-oldest.clicks', damaged: 1 }])
  })

  test('behind a line that is too long are set aside instead of deleted, and stored after a repair', async () => {
    const linkId = await addLink(api.db)
    await write(clicksOf(linkId, 3))
    const [name = ''] = readdirSync(folder)
    const path = join(folder, name)
    const long = 'x'.repeat(50_000)
    const line = `[${linkId},2065550199,${at.getTime()},null]\n`
    appendFileSync(path, `${long}\n${line}`)
    utimesSync(path, 1, 1)
    const { lines, log } = recorded()
    const drain = new ClickDrain({ db: api.db, log }, folder)
    await drain.round()
    expect(readdirSync(folder)).toEqual([`${name}.damaged`])
    expect(lines).toMatchObject([{ level: 50, file: name, msg: 'file of clicks set aside, a line is too long' }])
    expect(await stored(api.db)).toEqual(all(3))
    writeFileSync(path, readFileSync(`${path}.damaged`, 'utf8').replace(`${long}\n`, ''))
    rmSync(`${path}.damaged`)
    utimesSync(path, 1, 1)
    await drain.round()
    expect(await stored(api.db)).toEqual(all(4))
    expect(readdirSync(folder)).toEqual([])
  })

  test('a long end without a line is deleted with its file', async () => {
    await write(clicksOf(await addLink(api.db), 3))
    const path = join(folder, readdirSync(folder)[0] ?? '')
    appendFileSync(path, 'x'.repeat(50_000))
    utimesSync(path, 1, 1)
    await new ClickDrain({ db: api.db, log }, folder).round()
    expect([readdirSync(folder), await stored(api.db)]).toEqual([[], all(3)])
  })

  test('of a recipient cost the same after 20,000 others of the same one', async () => {
    const database = await freshDatabase()
    try {
      const linkId = await addLink(database.db)
      await database.db.tx((tx) => storeClicks(tx, clicksOf(linkId, 1)))
      const [first] = await database.db.many<{ messageId: number; phone: number }>(
        'add_many',
        `insert into clicks (link_id, message_id, phone, clicked_at, rule)
         select link_id, message_id, phone, clicked_at + n * interval '1 ms', 'scanner' from clicks, generate_series(1, 20000) n
         returning message_id as "messageId", phone`,
      )
      const { compared } = await explain(database, (db) => listEarlierClicks(db, first ? [first] : []))
      expect(compared).toBeLessThan(20)
    } finally {
      await database.close()
    }
  })

  test('of a link whose message was deleted are dropped', async () => {
    const linkId = await addLink(api.db)
    await write([...clicksOf(linkId + 1_000, 2), ...clicksOf(linkId, 2)])
    await new ClickDrain({ db: api.db, log }, folder).round()
    expect(await stored(api.db)).toEqual(all(2))
  })

  test('are stored once by several processes at a time', async () => {
    const database = await freshDatabase()
    try {
      const linkId = await addLink(database.db)
      for (let n = 0; n < 3; n++) await write(clicksOf(linkId, 3_000))
      const drains = [1, 2, 3].map(() => new ClickDrain({ db: database.db, log }, folder))
      await Promise.all(drains.map((drain) => drain.round()))
      await drains[0]?.round()
      expect(await stored(database.db)).toEqual({ rows: 9_000, counted: 9_000, people: 3_000 })
    } finally {
      await database.close()
    }
  })
})

test('clicks that were confirmed survive a kill of their process', async () => {
  const script = `
    import { ClickSpool } from ${JSON.stringify(new URL('./click-spool.ts', import.meta.url).href)}
    const spool = new ClickSpool(${JSON.stringify(folder)})
    let n = 0
    const one = async () => {
      for (;;) {
        const phone = n++
        await spool.append({ linkId: 1, phone, clickedAt: new Date(0), rule: null })
        process.stdout.write(phone + '\\n')
      }
    }
    for (let k = 0; k < 20; k++) void one()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const confirmed: number[] = []
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    if (/^\d+$/.test(line)) confirmed.push(Number(line))
    if (confirmed.length === 500) child.kill('SIGKILL')
  })
  await once(child, 'close')
  const files = readdirSync(folder).map((name) => readClicks(readFileSync(join(folder, name))))
  const phones = files.flatMap(({ clicks }) => clicks.map(({ phone }) => phone))
  expect(confirmed.length).toBeGreaterThanOrEqual(500)
  expect(new Set(phones).size).toBe(phones.length)
  // the last line may be torn, as its process was killed while it printed it
  expect(confirmed.slice(0, -1).filter((phone) => !phones.includes(phone))).toEqual([])
})

test.skipIf(process.platform !== 'linux')('a new folder of files is durable before its first click', async () => {
  const handle = await open(folder)
  const prototype = Object.getPrototypeOf(handle)
  await handle.close()
  const synced: string[] = []
  const { sync } = prototype
  const spy = vi.spyOn(prototype, 'sync').mockImplementation(function (this: { fd: number }) {
    synced.push(readlinkSync(`/proc/self/fd/${this.fd}`))
    return sync.call(this)
  })
  const spool = new ClickSpool(join(folder, 'clicks'))
  await spool.append(clicksOf(1, 1)[0] as Click).finally(() => spy.mockRestore())
  await spool.close()
  expect(synced).toEqual([join(folder, 'clicks'), folder])
})

test('a click that cannot be written is an error, and is not counted later', async () => {
  rmSync(folder, { recursive: true })
  writeFileSync(folder, '')
  const spool = new ClickSpool(folder)
  const [click] = clicksOf(1, 1) as [Click]
  await expect(spool.append(click)).rejects.toThrow()
  rmSync(folder)
  await spool.append(click)
  await spool.close()
  expect(readdirSync(folder)).toHaveLength(1)
  expect(readClicks(readFileSync(join(folder, readdirSync(folder)[0] ?? ''))).clicks).toEqual([click])
})

/** A database that can be away. */
function switchable(db: Db) {
  const state = { isAway: false }
  const proxy = new Proxy(db, {
    get: (target, name, receiver) => {
      if (state.isAway) throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
      return Reflect.get(target, name, receiver)
    },
  })
  return { state, db: proxy }
}

const pathOf = (link: number, phone: number) => `/l/${linkTokensOf(api.rt.config)?.write({ linkId: link, phone })}`
const browser = { 'user-agent': 'Mozilla/5.0' }

test('a known link is redirected while the database is away, and its clicks are counted afterwards', async () => {
  const linkId = await addLink(api.db)
  const unknown = await addLink(api.db)
  const { state, db } = switchable(api.db)
  const app = await makeApp({ ...api.rt, db, config: { ...api.rt.config, dataDir: folder } })
  const open = (link: number, phone: number) => app.inject({ url: pathOf(link, phone), headers: browser })
  expect(await open(linkId, 2065550100)).toMatchObject({ statusCode: 302 })
  state.isAway = true
  expect(await open(linkId, 2065550101)).toMatchObject({ statusCode: 302, headers: { location: 'https://a.example/' } })
  expect(await open(unknown, 2065550101)).toMatchObject({ statusCode: 503, headers: { 'retry-after': '1' } })
  state.isAway = false
  await new ClickDrain({ db, log }, join(folder, 'clicks')).round()
  expect(await stored(api.db)).toEqual(all(2))
  await app.close()
})

test('a listening server knows a new link before it is opened, and stores its clicks', async () => {
  const database = await freshDatabase()
  const { state, db } = switchable(database.db)
  const app = await makeApp({ ...api.rt, db, config: { ...api.rt.config, dataDir: folder } })
  try {
    const address = await app.listen({ port: 0, host: '127.0.0.1' })
    const linkId = await addLink(database.db)
    const open = async () => {
      const response = await fetch(address + pathOf(linkId, 2065550100), { headers: browser, redirect: 'manual' })
      return response.status
    }
    // while the database is away, only a link that was read before is redirected
    await waitFor(
      async () => {
        state.isAway = true
        const status = await open().finally(() => {
          state.isAway = false
        })
        return status === 302
      },
      { what: 'the link is known' },
    )
    await waitFor(async () => (await stored(database.db)).counted === 1, { what: 'the click is counted' })
    expect(await stored(database.db)).toEqual(all(1))
  } finally {
    await app.close()
    await database.close()
  }
})
