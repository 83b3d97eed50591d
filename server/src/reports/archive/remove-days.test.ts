import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { describe, expect, test } from 'vitest'
import { nextDay, oldDay, useArchives } from '../../../test/archive-world.ts'
import { mortal } from '../../../test/mortal-db.ts'
import { decompressors } from '../../files/parquet-columns.ts'
import { measureDatabase } from '../metrics.ts'
import { archiveColumns, logColumns } from './archive-columns.ts'
import { type RemovalOptions, removalOptions } from './remove-days.ts'

// Retention: a day is archived, compared with the log, and removed, whatever dies in between.

const world = useArchives()
const { change, read, remove, state, tables } = world

const oldTables = ['message_log_20310302', 'submits_20310302']
const nameOfFile = (path: string) => join(world.filesDir, path)

/** The rows of the day as PostgreSQL writes them, which no code of the archive has touched. */
const recount = () =>
  read<Record<string, unknown>>(
    `select l.*, m.account_id, m.kind, s.code from message_log l join messages m on m.id = l.message_id
       join short_codes s on s.id = m.short_code_id
      where l.logged_on = $1 order by m.account_id, m.accepted_at, m.id, l.id`,
    [oldDay],
  )

describe('a day whose messages are closed', () => {
  test('is in Parquet files with a manifest, and then no longer in the log', async () => {
    const rows = await recount()
    expect(rows.length).toBe(2 * 123)
    await remove()
    expect(await state()).toBe('dropped')
    expect(await tables()).toEqual([])
    expect(await read('select from message_log where logged_on = $1', [oldDay])).toEqual([])
    expect(await tables(nextDay)).toHaveLength(2)
    const manifest = await world.manifest()
    expect(manifest).toMatchObject({
      product: 'carillon',
      format: 1,
      day: oldDay,
      rows: rows.length,
      columns: archiveColumns,
    })
    expect(manifest.files.length).toBeGreaterThan(4)
    const archived: Record<string, unknown>[] = []
    for (const file of manifest.files) {
      const bytes = readFileSync(nameOfFile(file.path))
      expect([createHash('sha256').update(bytes).digest('hex'), bytes.length]).toEqual([file.sha256, file.bytes])
      const buffer = new Uint8Array(bytes).buffer
      const objects = await parquetReadObjects({ file: buffer, compressors: decompressors })
      expect(objects).toHaveLength(file.rows)
      archived.push(...(objects as Record<string, unknown>[]))
    }
    expect(archived.map(asText)).toEqual(rows.map(asText))
    const [owner] = manifest.accounts
    const ofOwner = rows.filter(({ account_id }) => account_id === world.owner.accountId)
    expect(owner).toMatchObject({ account_id: world.owner.accountId, rows: ofOwner.length })
    expect(owner?.states).toEqual(
      Object.fromEntries([...Map.groupBy(ofOwner, (row) => row.state)].map(([s, r]) => [s, r.length])),
    )
  })

  test('has no other files than those of its manifest', async () => {
    await remove()
    const { files } = await world.manifest()
    const stored = world.stored().filter((path) => !path.includes('/manifest-'))
    expect(stored).toEqual(files.map(({ path }) => path).sort())
    expect(world.stored()).toHaveLength(stored.length + 1)
  })

  test('is kept without the setting, and while it is younger', async () => {
    await remove({ config: { ...world.rt.config, messageLogDays: 0 } })
    await remove({ config: { ...world.rt.config, messageLogDays: 32 } })
    expect([await state(), await tables()]).toEqual(['kept', oldTables])
  })
})

describe.each([0, 32])('if the setting becomes %d while a day is removed', (messageLogDays) => {
  const raised = () => ({ config: { ...world.rt.config, messageLogDays } })
  const detachings = (dies: (n: number) => boolean): RemovalOptions['connect'] => {
    let changes = 0
    return (rt, work) =>
      removalOptions.connect(rt, (db) => work(mortal(db, (name) => name === 'a change of tables' && dies(++changes))))
  }

  test.each([
    ['archiving', 'store_manifest'],
    ['archived', 'mark_archive_file_verified'],
    ['verified', 'find_partition'],
  ])('a day that is %s is kept, and its failure forgotten', async (reached, name) => {
    const dies = (statement: string) => statement === name
    const connect: RemovalOptions['connect'] = (rt, work) => removalOptions.connect(rt, (db) => work(mortal(db, dies)))
    await remove({ db: mortal(world.db, dies) }, { connect }).catch(() => {})
    await change(`update log_archives set error = 'killed', failures = 1`)
    await world.dueNow()
    await remove(raised())
    expect([await state(), await tables()]).toEqual([reached, oldTables])
    expect(await read('select error, failures from log_archives')).toEqual([{ error: null, failures: 0 }])
    await remove()
    expect(await state()).toBe('dropped')
  })

  test.each([
    ['of which one table is detached', 'verified', 2],
    ['whose tables are detached, but have their names', 'verified', 3],
    ['that is detached', 'detached', 5],
  ])('a day %s is finished', async (_, reached, changes) => {
    await remove({}, { connect: detachings((n) => n === changes) }).catch(() => {})
    expect(await state()).toBe(reached)
    await world.dueNow()
    await remove(raised())
    expect([await state(), await tables()]).toEqual(['dropped', []])
  })

  test('a day whose detaching is pending is finished', async () => {
    const reader = await world.db.tx(async (tx) => {
      await tx.many('hold_log', 'select from message_log limit 1')
      await remove()
      return tx.many<{ isPending: boolean }>(
        'find_pending',
        `select inhdetachpending as "isPending" from pg_inherits where inhrelid = 'message_log_20310302'::regclass`,
      )
    })
    expect([await state(), reader]).toEqual(['verified', [{ isPending: true }]])
    await world.dueNow()
    await remove(raised())
    expect([await state(), await tables()]).toEqual(['dropped', []])
  })
})

test('without messages is removed, too', async () => {
  await change(`select ensure_log_day('2031-02-01')`)
  await remove()
  expect([await state('2031-02-01'), await tables('2031-02-01')]).toEqual(['dropped', []])
  expect(await world.manifest('2031-02-01')).toMatchObject({ rows: 0, files: [] })
})

describe('a day is kept', () => {
  test.each([
    ['a message is being sent', `status = 'sending'`],
    ['a message is not closed', `closed_at = null`],
    ['a message has no bill', `billed_at = null`],
    ['the event of a broadcast is not inserted', `reported_at = null`],
    ['the result of a text is not reported', `report_at = now()`],
  ])('while %s; the next one is removed meanwhile', async (_, assignment) => {
    world.clock.time = new Date('2031-04-03T12:00:00Z')
    await change(`update messages set ${assignment} where id = (select min(id) from messages where logged_on = $1)`, [
      oldDay,
    ])
    await remove()
    expect([await state(), await tables()]).toEqual(['kept', oldTables])
    expect(await state(nextDay)).toBe('dropped')
    expect(world.lines).toEqual([])
  })

  test.each(['queued', 'submitting', 'sent'])(
    'and an error is logged if a row is %s, although its message is closed',
    async (open) => {
      await change(
        `update message_log set state = $2 where id = (select max(id) from message_log where logged_on = $1)`,
        [oldDay, open],
      )
      await remove()
      expect([await state(), await tables()]).toEqual(['archiving', oldTables])
      expect(world.lines).toMatchObject([
        { level: 50, day: oldDay, msg: 'archive of a day of the log failed, the day is kept' },
      ])
      const [archive] = await read<{ error: string; failures: number }>('select error, failures from log_archives')
      expect(archive).toEqual({ error: expect.stringMatching(`^the text \\d+ is still ${open}$`), failures: 1 })
    },
  )

  test('if a row belongs to no message of the day', async () => {
    await change(
      `insert into message_log (id, logged_on, message_id, phone, state, part_count) values (9007199254740000, $1, 987654321, 1, 'delivered', 1)`,
      [oldDay],
    )
    await remove()
    expect(await tables()).toEqual(oldTables)
    const [archive] = await read<{ error: string }>('select error from log_archives')
    expect(archive?.error).toBe('the log has 247 rows, the archive 246')
  })

  test('while the file store fails, and removed when it works again', async () => {
    rmSync(world.filesDir, { recursive: true })
    writeFileSync(world.filesDir, 'not a directory')
    await remove()
    expect([await state(), await tables()]).toEqual(['archiving', oldTables])
    expect(world.lines).toMatchObject([{ level: 50, day: oldDay, attempts: 1 }])
    rmSync(world.filesDir)
    await remove()
    expect(await state()).toBe('archiving')
    world.clock.time = new Date(world.clock.time.getTime() + 61_000)
    await remove()
    expect(await state()).toBe('dropped')
  })
})

describe('a file that differs from what was written', () => {
  test.each([
    ['because it is longer', (path: string) => appendFileSync(path, 'x')],
    [
      'in a byte',
      (path: string) =>
        writeFileSync(
          path,
          readFileSync(path).map((byte, n) => (n === 999 ? byte ^ 1 : byte)),
        ),
    ],
    ['because it is gone', (path: string) => rmSync(path)],
  ])('%s is found, the day is kept, and archived again', async (_, damage) => {
    const dying = mortal(world.db, (name) => name === 'mark_archive_file_verified')
    await remove({ db: dying }).catch(() => {})
    expect(await state()).toBe('archived')
    const [file] = (await world.manifest()).files
    damage(nameOfFile(file?.path ?? ''))
    await world.dueNow()
    await remove()
    expect(await tables()).toEqual(oldTables)
    expect(world.lines.at(-1)).toMatchObject({ level: 50, day: oldDay })
    for (let attempt = 0; attempt < 2; attempt++) {
      await world.dueNow()
      await remove()
    }
    expect(await state()).toBe('dropped')
    expect((await world.manifest()).rows).toBe(246)
  })

  test('in its rows is found, even if its SHA-256 is that of the changed file', async () => {
    const dying = mortal(world.db, (name) => name === 'mark_archive_file_verified')
    await remove({ db: dying }).catch(() => {})
    await change(`update log_archive_files set row_hash = row_hash + 1 where file_number = 2 and account_id = $1`, [
      world.owner.accountId,
    ])
    await world.dueNow()
    await remove()
    const [archive] = await read<{ error: string }>('select error from log_archives')
    expect(archive?.error).toBe(`file 2 of account ${world.owner.accountId} has rows with other values`)
    expect(await tables()).toEqual(oldTables)
  })
})

test('a row that changes after the day was verified is not lost: the day is archived again', async () => {
  const lateReceipt = `update message_log set state = 'delivered', carrier_status = 'DELIVRD' where state = 'unknown' and logged_on = $1`
  let connections = 0
  const connect: RemovalOptions['connect'] = async (rt, work) => {
    if (++connections === 1) await change(lateReceipt, [oldDay])
    return removalOptions.connect(rt, work)
  }
  await remove({}, { connect })
  expect([await state(), await tables()]).toEqual(['archiving', oldTables])
  expect(await read('select from message_log where logged_on = $1', [oldDay])).toHaveLength(246)
  expect(world.lines).toMatchObject([{ level: 40, msg: 'day of the log has changed, it is archived again' }])
  await world.dueNow()
  await remove()
  expect(await state()).toBe('dropped')
  const { accounts, files } = await world.manifest()
  expect(accounts.map(({ states }) => states.unknown)).toEqual([undefined, undefined])
  expect(world.stored()).toHaveLength(files.length + 1)
})

describe('a day that is detached is not dropped, but archived again,', () => {
  const detach = async () => {
    let connections = 0
    const connect: RemovalOptions['connect'] = (rt, work) =>
      ++connections === 1 ? removalOptions.connect(rt, work) : Promise.reject(new Error('killed'))
    await remove({}, { connect })
    expect(await state()).toBe('detached')
    world.lines.length = 0
    await world.dueNow()
  }

  test.each([
    ['if a file is gone', false, (path: string) => rmSync(path), /^file \d+ of account \d+ is gone/],
    ['if a file is shorter', false, (path: string) => truncateSync(path, 99), /^file .* another size$/],
    ['if the manifest is gone', true, (path: string) => rmSync(path), /^the manifest is gone/],
  ])('%s', async (_, isManifest, damage, error) => {
    await detach()
    const path = world.stored().find((one) => one.includes('/manifest-') === isManifest)
    damage(nameOfFile(path ?? ''))
    await remove()
    expect([await state(), await tables()]).toEqual(['archiving', oldTables])
    expect(await read('select from message_log where logged_on = $1', [oldDay])).toHaveLength(246)
    expect(world.lines).toMatchObject([{ level: 50, day: oldDay, err: { message: expect.stringMatching(error) } }])
    await world.dueNow()
    await remove()
    expect(await state()).toBe('dropped')
    const { files, rows } = await world.manifest()
    expect([rows, world.stored().length]).toEqual([246, files.length + 1])
  })
})

test('/metrics has the days, and those whose archive failed', async () => {
  const values = async () => {
    const families = await measureDatabase(world.rt)
    return Object.fromEntries(
      families
        .filter(({ name }) => name.startsWith('carillon_log_'))
        .flatMap(({ name, values: all }) =>
          all.map(({ labels, value }) => [
            [name.replace('carillon_log_', ''), ...Object.values(labels)].join(' '),
            value,
          ]),
        ),
    )
  }
  await change(`select ensure_log_day('2031-04-03')`)
  const oldest = (day: string) => Date.parse(`${day}T00:00:00Z`) / 1_000
  const kept = { 'days database': 2, 'days archive': 0, archive_failures: 0 }
  expect(await values()).toEqual({ ...kept, oldest_day_timestamp_seconds: oldest(oldDay) })
  rmSync(world.filesDir, { recursive: true })
  writeFileSync(world.filesDir, 'not a directory')
  await remove()
  expect(await values()).toMatchObject({ ...kept, archive_failures: 1 })
  rmSync(world.filesDir)
  await world.dueNow()
  await remove()
  expect(await values()).toEqual({
    ...{ 'days database': 1, 'days archive': 1, archive_failures: 0 },
    oldest_day_timestamp_seconds: oldest(nextDay),
  })
})

test('the archive has all columns of the log', async () => {
  const columns = await read<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = 'message_log'::regclass and attnum > 0 order by attnum`,
  )
  expect(logColumns.map(({ name }) => name)).toEqual(columns.map(({ name }) => name))
})

/** A row of the log, or of a file as another reader has it, as text. */
function asText(row: Record<string, unknown>): string {
  const micros = (value: unknown) => (value instanceof Date ? value.getTime() : value)
  const date = (value: unknown) => (value instanceof Date ? value.toISOString().slice(0, 10) : value)
  const { logged_on, account_id, code, shortcode, kind, message_type } = row
  const ofLog = logColumns.map(({ name }) => (name === 'logged_on' ? date(logged_on) : micros(row[name])))
  return JSON.stringify(
    [...ofLog, account_id, code ?? shortcode, kind ?? message_type].map((value) =>
      value === null ? null : `${value}`,
    ),
  )
}
