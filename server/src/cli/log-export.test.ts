import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { nextDay, oldDay, useArchives } from '../../test/archive-world.ts'
import { runCli } from './cli.ts'

const world = useArchives()
const run = (...args: string[]) => {
  const env = { DATABASE_URL: world.url, CARILLON_FILES_DIR: world.filesDir }
  return runCli({ args: ['log', 'export', ...args], env, cwd: world.filesDir })
}
beforeEach(async () => {
  await world.change(`insert into installation (mode) values ('sandbox')`)
  await world.remove()
})

test('log export writes the files of a day with the manifest', async () => {
  const manifest = await world.manifest()
  expect(await run(oldDay, 'out')).toBe(`Files written: ${manifest.files.length}, with 246 rows.`)
  const folder = join(world.filesDir, 'out')
  expect(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))).toEqual(manifest)
  const written = readdirSync(folder).filter((name) => name.endsWith('.parquet'))
  expect(written.sort()[0]).toBe(`account-${world.owner.accountId}-001.parquet`)
  const hashes = written.map((name) =>
    createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex'),
  )
  expect(hashes.sort()).toEqual(manifest.files.map(({ sha256 }) => sha256).sort())
})

test.each([
  [
    'another byte',
    (path: string) =>
      writeFileSync(
        path,
        readFileSync(path).map((byte, n) => (n === 999 ? byte ^ 1 : byte)),
      ),
  ],
  ['another size', (path: string) => appendFileSync(path, 'x')],
  ['no file', (path: string) => rmSync(path)],
])('log export with %s is an error, and leaves nothing', async (_, damage) => {
  const { files } = await world.manifest()
  damage(join(world.filesDir, files.at(-1)?.path ?? ''))
  await expect(run(oldDay, 'out')).rejects.toThrow(/is damaged|is missing/)
  expect(existsSync(join(world.filesDir, 'out'))).toBe(false)
})

test('log export of a kept day, of no day, or into a folder that exists is an error', async () => {
  await expect(run(nextDay, 'out')).rejects.toThrow(`${nextDay} has no archive.`)
  await expect(run('2031-02-30', 'out')).rejects.toThrow('Not a date (YYYY-MM-DD): 2031-02-30')
  await expect(run(oldDay, 'message_log')).rejects.toThrow('already exists')
  expect(world.stored().length).toBeGreaterThan(3)
})
