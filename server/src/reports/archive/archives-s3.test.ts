import { afterAll, beforeEach, expect, test } from 'vitest'
import { oldDay, useArchives } from '../../../test/archive-world.ts'
import { startS3 } from '../../../test/s3-server.ts'

// Archives in a bucket.

const s3 = await startS3({ minPartBytes: 6_000 })
afterAll(() => s3.close())
const world = useArchives({}, { s3: s3.location })
beforeEach(() => s3.clear())

test('a day is archived in a bucket, read back, and removed', async () => {
  await world.remove()
  expect([await world.state(), world.lines]).toEqual(['dropped', []])
  const { files, rows } = await world.manifest()
  expect(rows).toBe(246)
  const keys = Object.keys(s3.objects()).filter((key) => !key.includes('/manifest-'))
  expect(keys.sort()).toEqual(files.map(({ path }) => `carillon/${path}`).sort())
  expect(s3.uploads.size).toBe(0)
})

test.each([
  ['writing', (method: string) => method === 'PUT'],
  ['reading back', (method: string) => method === 'GET'],
])('a bucket that fails at %s keeps the day until it works again', async (_, isFailing) => {
  s3.fault = ({ method, key }) => (isFailing(method) && key !== '' ? { status: 403, code: 'AccessDenied' } : undefined)
  await world.remove()
  expect(await world.tables()).toHaveLength(2)
  expect(world.lines).toMatchObject([{ level: 50, day: oldDay, attempts: 1 }])
  const [archive] = await world.read<{ error: string }>('select error from log_archives')
  expect(archive?.error).toMatch(/AccessDenied/)
  s3.fault = () => undefined
  await world.dueNow()
  await world.remove()
  expect(await world.state()).toBe('dropped')
  const { files } = await world.manifest()
  expect(Object.keys(s3.objects()).filter((key) => !key.includes('/manifest-'))).toHaveLength(files.length)
})
