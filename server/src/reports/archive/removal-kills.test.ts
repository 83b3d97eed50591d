import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { oldDay, useArchives } from '../../../test/archive-world.ts'
import { mortal } from '../../../test/mortal-db.ts'
import { type RemovalOptions, removalOptions } from './remove-days.ts'

// Workers that are killed while they remove a day of the log, and two that remove it at once.

const world = useArchives()
const { change, remove, state, tables } = world

const oldTables = ['message_log_20310302', 'submits_20310302']
const nameOfFile = (path: string) => join(world.filesDir, path)

describe('a worker that is killed', () => {
  test('before any statement leaves a day that the next one archives and removes', async () => {
    const seen = new Set<string>()
    for (let survived = 0; (await state()) !== 'dropped'; survived++) {
      let statements = 0
      const dies = () => statements++ === survived
      const db = mortal(world.db, dies)
      const connect: RemovalOptions['connect'] = (rt, work) =>
        removalOptions.connect(rt, (removal) => work(mortal(removal, dies)))
      await remove({ db }, { connect }).catch(() => {})
      seen.add(await state())
      await world.dueNow()
    }
    expect([...seen]).toEqual(expect.arrayContaining(['archiving', 'archived', 'verified', 'detached', 'dropped']))
    expect(await tables()).toEqual([])
    const { files, rows: archived } = await world.manifest()
    expect(archived).toBe(246)
    expect(world.stored().filter((path) => !path.includes('/manifest-'))).toEqual(files.map(({ path }) => path).sort())
    expect(world.stored()).toHaveLength(files.length + 1)
  })

  test('with SIGKILL at any time loses nothing, and leaves no file', async () => {
    for (let afterMs = 20; (await state()) !== 'dropped'; afterMs += 30) {
      await world.killWorker(afterMs)
      await world.dueNow()
    }
    const { files, rows } = await world.manifest()
    expect([rows, await tables()]).toEqual([246, []])
    expect(world.stored()).toHaveLength(files.length + 1)
    expect(world.stored().filter((path) => !path.includes('/manifest-'))).toEqual(files.map(({ path }) => path).sort())
  })

  test('after it has written the manifest, but not stored where it is, leaves none of its own', async () => {
    await remove({ db: mortal(world.db, (name) => name === 'store_manifest') }).catch(() => {})
    expect(world.stored().filter((path) => path.includes('/manifest-'))).toHaveLength(1)
    // a manifest has the time at which it is written
    world.clock.time = new Date(world.clock.time.getTime() + 1_000)
    await world.dueNow()
    await remove()
    expect(await state()).toBe('dropped')
    expect(world.stored()).toHaveLength((await world.manifest()).files.length + 1)
  })

  test('while it writes leaves a file that the next one deletes', async () => {
    const folder = `message_log/${oldDay}/1-left-over`
    mkdirSync(nameOfFile(folder), { recursive: true })
    writeFileSync(nameOfFile(join(folder, 'x.part')), 'half a file')
    await change(`insert into log_archives (day, open_folder, due_at, started_at) values ($1, $2, $3, $3)`, [
      oldDay,
      folder,
      world.clock.time,
    ])
    await remove()
    expect(await state()).toBe('dropped')
    expect(readdirSync(nameOfFile(`message_log/${oldDay}`))).not.toContain('1-left-over')
  })
})

test('two workers at once archive and remove a day once', async () => {
  await Promise.all([remove(), remove()])
  await remove()
  expect(await state()).toBe('dropped')
  const { files, rows } = await world.manifest()
  expect(rows).toBe(246)
  expect(world.stored()).toHaveLength(files.length + 1)
  expect(world.lines).toEqual([])
})

test('a worker whose lease has ended changes nothing any more', async () => {
  const takenOver = mortal(world.db, () => false)
  const stalled: typeof takenOver = {
    ...takenOver,
    exec: async (name, ...rest) => {
      if (name === 'store_manifest') await change('update log_archives set epoch = epoch + 1')
      return takenOver.exec(name, ...rest)
    },
  }
  await remove({ db: stalled })
  expect([await state(), await tables()]).toEqual(['archiving', oldTables])
  expect(world.lines).toEqual([])
})
