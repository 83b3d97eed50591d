import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, makeCallerOf } from '../../../test/api.ts'
import { firstPhone, nextDay, oldDay, useArchives } from '../../../test/archive-world.ts'
import type { ParquetColumn, ParquetValue } from '../../files/parquet-columns.ts'
import { openParquet } from '../../files/parquet-reader.ts'
import { writeParquet } from '../../files/parquet-writer.ts'
import { makeApp } from '../../http/app.ts'
import { type Rotation, takeTurn } from '../../jobs/turns.ts'
import { reportsQueue } from '../momt-reports.jobs.ts'
import { reconcile } from '../reconcile.ts'

// What readers of the log get for a day that was archived and removed.

const world = useArchives({ CARILLON_RATE_LIMIT: 'off' })
let app: FastifyInstance
let owner: Omit<ApiCaller, 'email'>

beforeEach(async () => {
  app = await makeApp(world.rt)
  owner = await makeCallerOf(world.db, app, world.owner)
  await world.change(
    `insert into number_look_ups (phone, kind, carrier_name, looked_up_at)
     select $1::bigint + n, 'mobile', case when n % 3 = 0 then 'Verizon' else 'AT&T' end, now() from generate_series(0, 70) n`,
    [firstPhone],
  )
})
afterEach(() => app.close())

/**
 * Orders a report of both days and runs it in slices of up to this number of rows; returns it and its file. `between` runs after its
 * first turns.
 */
async function report(filters: Record<string, unknown> = {}, rows = 37, between?: () => Promise<void>) {
  const period = { date_from: `${oldDay}T00:00:00Z`, date_to: `${nextDay}T23:59:59Z` }
  const { status, body } = await owner.post('/momt_reports', { ...period, ...filters })
  expect(status).toBe(200)
  const { id } = body.momt_report as { id: number }
  const rotation: Rotation = { lastAccount: 0 }
  const turn = () =>
    takeTurn(world.rt, { ...reportsQueue, maxRows: rows }, { ...rotation, stopwatch: () => (ms += 100) })
  let ms = 0
  if (between) {
    for (let turns = 0; turns < 4; turns++) await turn()
    await between()
  }
  while (await turn()) {}
  const read = (await owner.get(`/momt_reports/${id}`)).body.momt_report as Record<string, unknown>
  const { pathname, search } = new URL(read.s3_url as string)
  return { report: read, text: (await app.inject({ method: 'GET', url: pathname + search })).body }
}

/** Changes the bytes of each file of the removed day. */
async function changeFiles(change: (bytes: Buffer) => Buffer | Promise<Buffer>) {
  const files = await world.read<{ folder: string; name: string }>('select folder, name from log_archive_files')
  expect(files.length).toBeGreaterThan(4)
  for (const { folder, name } of files) {
    const path = join(world.filesDir, folder, name)
    const bytes = await change(readFileSync(path))
    writeFileSync(path, bytes)
    await world.change('update log_archive_files set bytes = $2 where folder = $1', [folder, bytes.length])
  }
}

/** Returns a file with other columns, each of which has the cells that `cellsOf` makes of those of the former row group. */
async function rewritten(
  bytes: Buffer,
  columnsOf: (columns: ParquetColumn[]) => ParquetColumn[],
  cellsOf = (_: ParquetColumn, cells: ParquetValue[]) => cells,
) {
  const former = await openParquet({ size: bytes.length, read: async (from, to) => bytes.subarray(from, to + 1) })
  const columns = columnsOf(former.columns)
  const groups = async function* () {
    for await (const rows of former.rowGroups()) {
      const indexOf = (name: string) => former.columns.findIndex((column) => column.name === name)
      yield columns.map((column) =>
        cellsOf(
          column,
          rows.map((row) => row[indexOf(column.name)] ?? null),
        ),
      )
    }
  }
  const chunks: Buffer[] = []
  for await (const chunk of writeParquet(columns, groups())) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe('a report of a removed day', () => {
  test('is equal to the one before, with each filter', async () => {
    const [text] = await world.read<{ id: number }>(
      'select min(id) as id from messages where account_id = $1 and phone is not null',
      [world.owner.accountId],
    )
    const cases: [Record<string, unknown>, number | null, number][] = [
      [{}, 246, 7],
      [{ is_csv: true }, 246, 1_000],
      [{ direction: 'mt', status_array: ['delivered', 'bounced'] }, null, 37],
      [{ carrier: 'Verizon', message_type: 'broadcast' }, null, 37],
      [{ phone_number: '2065550101' }, null, 37],
      [{ message_type: 'transactional' }, 6, 37],
      [{ campaign: world.owner.listId }, 240, 37],
      [{ message_id: text?.id }, 1, 37],
    ]
    const before: Awaited<ReturnType<typeof report>>[] = []
    for (const [filters] of cases) before.push(await report(filters, 1_000))
    await world.remove()
    expect(await world.state()).toBe('dropped')
    for (const [n, [filters, rows, sliceRows]] of cases.entries()) {
      const after = await report(filters, sliceRows)
      expect(after.text).toBe(before[n]?.text)
      const { total_rows } = before[n]?.report ?? {}
      expect(after.report).toMatchObject({ total_rows, run_errors: null, percent_complete: 100 })
      if (rows === null) expect(total_rows).toBeGreaterThan(0)
      else expect(total_rows).toBe(rows)
    }
  })

  test('that is removed while the report is written is equal, too', async () => {
    const before = await report()
    const after = await report({}, 37, async () => {
      const [running] = await world.read<{ n: number }>(
        'select mt_count as n from momt_reports order by id desc limit 1',
      )
      expect(running?.n).toBeGreaterThan(0)
      expect(running?.n).toBeLessThan(123)
      await world.remove()
      expect(await world.state()).toBe('dropped')
    })
    expect(after.text).toBe(before.text)
    expect(after.report).toMatchObject({ total_rows: 246, run_errors: null })
  })

  test('of a day that is verified, and still in the log, reads the log', async () => {
    const before = await report()
    await world.remove({}, { connect: () => Promise.reject(new Error('killed')) })
    expect(await world.state()).toBe('verified')
    rmSync(join(world.filesDir, 'message_log'), { recursive: true })
    expect((await report()).text).toBe(before.text)
  })

  test('names the day if its archive is gone, and has the rest', async () => {
    const before = (await report()).text.split('\n').filter((line) => !line.includes(`"time":"${oldDay}`))
    await world.remove()
    rmSync(join(world.filesDir, 'message_log'), { recursive: true })
    const after = await report()
    expect(after.report).toMatchObject({ run_errors: `the log of ${oldDay} is no longer kept`, percent_complete: 100 })
    expect(after.text.split('\n')).toEqual(before)
    expect(before.length).toBe(124)
    expect(world.lines).toEqual([])
  })

  test.each<[string, (bytes: Buffer) => Buffer | Promise<Buffer>, string]>([
    ['has no footer', (bytes) => bytes.fill(0, bytes.length - 8), 'a file cannot be read as Parquet'],
    [
      'has a footer that is too long',
      (bytes) => bytes.fill(255, bytes.length - 8, bytes.length - 4),
      'a file cannot be read as Parquet',
    ],
    ['has a damaged page', (bytes) => bytes.fill(0, 4, 400), 'a file cannot be read as Parquet'],
    [
      'lacks a column that the log always had',
      (bytes) => rewritten(bytes, (columns) => columns.filter(({ name }) => name !== 'phone')),
      'a file has no column phone of type int64',
    ],
    [
      'has rows without a message',
      (bytes) =>
        rewritten(
          bytes,
          (columns) => columns,
          ({ name }, cells) => (name === 'message_id' ? cells.map(() => null) : cells),
        ),
      'a file has rows without message_id',
    ],
    [
      'has a column of another type',
      (bytes) =>
        rewritten(
          bytes,
          (columns) => columns.map((column) => (column.name === 'reason' ? { ...column, type: 'int32' } : column)),
          ({ name }, cells) => (name === 'reason' ? cells.map(() => 1) : cells),
        ),
      'a file has no column reason of type text',
    ],
    [
      'has a state that no text can have',
      (bytes) =>
        rewritten(
          bytes,
          (columns) => columns,
          ({ name }, cells) => (name === 'state' ? cells.map(() => 'deliverfd') : cells),
        ),
      'a file has values that the log cannot have: PostgreSQL error 22P02',
    ],
  ])('names the day if its archive %s, and has the rest', async (_, damage, message) => {
    const before = (await report()).text.split('\n').filter((line) => !line.includes(`"time":"${oldDay}`))
    await world.remove()
    await changeFiles(damage)
    const after = await report()
    expect(after.report).toMatchObject({ run_errors: `the log of ${oldDay} is no longer kept`, percent_complete: 100 })
    expect(after.text.split('\n')).toEqual(before)
    expect(world.lines[0]).toMatchObject({
      ...{ level: 50, account: world.owner.accountId, day: oldDay, err: { message: expect.stringContaining(message) } },
      msg: 'archive of a day of the log is damaged',
    })
  })

  test('is equal if its files have no column that the log got later, and their columns in another order', async () => {
    const before = await report()
    await world.remove()
    await changeFiles((bytes) =>
      rewritten(bytes, (columns) => columns.filter(({ name }) => name !== 'requeued_at').reverse()),
    )
    const after = await report()
    expect(after.report).toMatchObject({ total_rows: 246, run_errors: null })
    expect(after.text).toBe(before.text)
    expect(world.lines).toEqual([])
  })
})

test('explanations and recipients of a removed day are a 410, and those of a kept day are not', async () => {
  const path = async (day: string, kind: string) => {
    const [message] = await world.read<{ id: number; phone: number }>(
      'select id, coalesce(phone, $4) as phone from messages where account_id = $1 and logged_on = $2 and kind = $3 order by id limit 1',
      [world.owner.accountId, day, kind, firstPhone + 1],
    )
    const collection = kind === 'broadcast' ? `/lists/${world.owner.listId}/messages` : '/transactional_messages'
    return `${collection}/${message?.id}/recipients/${message?.phone}`
  }
  const pages = (one: string) => one.replace(/\/\d+$/, '')
  const paths = async (day: string) => {
    const [broadcast, text] = [await path(day, 'broadcast'), await path(day, 'transactional')]
    return [broadcast, text, pages(broadcast)]
  }
  await world.remove()
  for (const one of await paths(nextDay)) expect((await owner.get(one)).status).toBe(200)
  for (const one of await paths(oldDay)) {
    expect(await owner.get(one)).toMatchObject({
      status: 410,
      body: { status: 'error', code: 'log_not_kept', error: `The message log of ${oldDay} is no longer kept` },
    })
  }
})

describe('reconcile', () => {
  test('compares the counters of a removed day with its archive', async () => {
    await world.remove()
    const found = await reconcile(world.db, { from: oldDay, to: nextDay })
    expect(found).toMatchObject({ archivedDays: 1, days: 1, differences: [] })
    await world.change(
      `update message_counters set delivered = delivered + 1, audience = audience + 1
        where message_id = (select min(id) from messages where account_id = $1)`,
      [world.owner.accountId],
    )
    const { differences } = await reconcile(world.db, { from: oldDay, to: oldDay })
    const subject = `account ${world.owner.accountId}, archived day ${oldDay}`
    expect(differences.map(({ counter, stored, recomputed }) => [counter, stored - recomputed])).toEqual([
      ['audience', 1],
      ['delivered', 1],
    ])
    expect(differences[0]?.subject).toBe(subject)
  })
})
