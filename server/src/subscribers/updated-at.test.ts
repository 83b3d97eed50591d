import { beforeEach, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { listSql } from '../../test/sql-source.ts'

// A report of the changed subscribers needs the time of each change, which cannot be recorded later.

const clock = { time: new Date(0), now: () => clock.time }
const api = useApi({ clock })
let path: string
let listId: number
const phone = 2_065_550_143

beforeEach(async () => {
  const { accountId, shortCode } = api.owner
  clock.time = new Date('2031-03-02T10:00:00Z')
  listId = (await make.list(api.db, { accountId, shortCodeId: shortCode.id })).id
  path = `/lists/${listId}/subscribers`
  await api.owner.post(path, { subscriber: { phone_number: String(phone), bypass_opt_in_process: true } })
  clock.time = new Date('2031-03-02T11:00:00Z')
})

const updatedAt = async () =>
  (
    await api.db.one<{ at: Date | null }>(
      'updated_at',
      'select updated_at as at from subscribers where list_id = $1 and phone = $2',
      [listId, phone],
    )
  ).at

test('a new subscriber is not updated', async () => {
  expect(await updatedAt()).toBeNull()
})

test.each<[string, () => Promise<unknown>]>([
  ['a profile', () => api.owner.put(`${path}/${phone}`, { subscriber: { first_name: 'Marisol' } })],
  ['new tags', () => api.owner.post(`${path}/add_tags`, { phone_numbers: [String(phone)], tags: ['vip'] })],
  ['removed tags', () => api.owner.delete(`${path}/${phone}/tags`, { tags: ['vip'] })],
  ['an opt-out', () => api.owner.delete(`${path}/${phone}`)],
])('%s changes the time', async (_, change) => {
  await change()
  expect(await updatedAt()).toEqual(clock.time)
})

test('each statement that updates subscribers sets it', () => {
  const updates = listSql().filter(({ text }) => /\bupdate subscribers\b/.test(text))
  expect(updates.length).toBeGreaterThan(8)
  const without = updates.filter(({ text }) => !/\bupdated_at = /.test(text)).map(({ name }) => name)
  // their assignments are a fragment with it
  expect(without.sort()).toEqual(['update_profile', 'update_profiles'])
  const fragments = listSql().filter(
    ({ file, text }) => /^subscribers/.test(file) && /custom_fields = case when/.test(text),
  )
  expect(fragments.map(({ text }) => text.includes('updated_at = '))).toEqual([true])
})
