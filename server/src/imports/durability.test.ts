import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { csvUpload } from '../../test/uploads.ts'
import { poolDb } from '../db/db.ts'
import { migrate } from '../db/migrate.ts'
import { makePool } from '../db/pool.ts'
import { installJobs } from '../jobs/boss.ts'
import { startPostgres } from '../supervisor/embedded-postgres.ts'
import { applyNextSlice, receiveImport } from './imports.ts'

const rows = 5_000

test('the rows of an accepted upload and the cursor survive a crash of PostgreSQL', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'carillon-test-'))
  let postgres = await startPostgres({ dataDir })
  const open = (url: string) => {
    const pool = makePool(url, pino({ level: 'silent' }))
    return { pool, rt: makeRuntime({ db: poolDb(pool), url }) }
  }
  try {
    await migrate(postgres.url)
    await installJobs(postgres.url)
    const before = open(postgres.url)
    const list = await make.list(before.rt.db)
    const lines = Array.from({ length: rows }, (_, n) => `${2_062_000_000 + n}\n`)
    const { id } = await receiveImport(before.rt, csvUpload(list, `phone\n${lines.join('')}`))
    await applyNextSlice(before.rt, id, 1_000)
    postgres.kill()
    await postgres.exited
    await before.pool.end()

    postgres = await startPostgres({ dataDir })
    const after = open(postgres.url)
    while (await applyNextSlice(after.rt, id, 1_000));
    const outcome = await after.rt.db.one(
      'outcome',
      'select status, added, (select count(*) from subscribers) as subscribers from imports where id = $1',
      [id],
    )
    expect(outcome).toEqual({ status: 'done', added: rows, subscribers: rows })
    await after.pool.end()
  } finally {
    await postgres.stop('immediate')
    await rm(dataDir, { recursive: true, force: true })
  }
})
