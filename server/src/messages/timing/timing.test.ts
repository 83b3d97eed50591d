import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { expandOnce } from '../../broadcasts/expand.ts'
import { startDue } from '../drafts/drafts.ts'

// The timing of a message. The account's time zone is America/Los_Angeles.

let now: Date
const clock = { now: () => now }
const api = useApi({ clock })
const rt = () => ({ ...makeRuntime({ db: api.db }), clock })

let path: string
let listId: number
beforeEach(async () => {
  now = new Date('2031-05-05T18:00:00Z')
  const { accountId, shortCode } = api.owner
  listId = (await make.list(api.db, { accountId, shortCodeId: shortCode.id })).id
  path = `/lists/${listId}/messages`
})

type Message = { id: number } & Record<string, unknown>

const post = (message: object) => api.owner.post(path, { message: { content: 'Soup on Friday', ...message } })
async function postId(message: object): Promise<number> {
  const response = await post(message)
  expect(response, JSON.stringify(response.body)).toMatchObject({ status: 200 })
  return (response.body.message as Message).id
}
const put = async (id: number, message: object) => {
  const response = await api.owner.put(`${path}/${id}`, { message })
  expect(response, JSON.stringify(response.body)).toMatchObject({ status: 200 })
  return response.body.message as Message
}
const show = async (id: number) => (await api.owner.get(`${path}/${id}`)).body.message as Message
const rowOf = (id: number) =>
  api.db.one<{ starts: Date | null; local: string | null }>(
    'timing_of',
    `select starts_at as starts, local_at::text as local from messages where id = $1`,
    [id],
  )
const dueTimes = async (id: number) => {
  const rows = await api.db.many<{ phone: number; due: Date }>(
    'dueTimes',
    `select l.phone, c.due_at as due from send_chunks c
       join message_log l on l.message_id = c.message_id and l.id between c.first_log_id and c.last_log_id
      where c.message_id = $1 order by c.due_at`,
    [id],
  )
  return rows.map((row) => [row.phone, row.due.toISOString()])
}

const all = {
  deliver_by: '2031-05-06T20:00:00-07:00',
  quiet_hours: true,
  send_hours: { from: '10:00', to: '18:30' },
}
const sendAt = '2031-05-06T09:00:00-07:00'

describe('the timing of a message', () => {
  test('is shown as given, and can be removed', async () => {
    const id = await postId({ ...all, send_at: sendAt, local_time: true })
    expect(await show(id)).toMatchObject({ ...all, local_time: true, send_at: sendAt, status: 'scheduled' })
    expect(await put(id, { name: 'Friday' })).toMatchObject({ ...all, local_time: true })
    const bare = await put(id, { local_time: false, deliver_by: null, quiet_hours: false, send_hours: null })
    for (const key of ['local_time', 'deliver_by', 'quiet_hours', 'send_hours']) expect(bare).not.toHaveProperty(key)
    expect(await rowOf(id)).toEqual({ starts: new Date(sendAt), local: null })
  })

  test('is copied, except for the deadline', async () => {
    const id = await postId({ ...all, draft: true, local_time: true })
    const copy = (await api.owner.post(`${path}/${id}/copy`)).body.message as Message
    expect(copy).toMatchObject({ local_time: true, quiet_hours: true, send_hours: all.send_hours })
    expect(copy).not.toHaveProperty('deliver_by')
  })

  test.each([
    [{ deliver_by: '2031-05-05T18:00:00Z' }, 'Deliver by must be in the future'],
    [{ deliver_by: sendAt, send_at: sendAt }, 'Deliver by must be later than send_at'],
    [{ deliver_by: 'tonight' }, 'Deliver by must be a time with an offset, as 2031-05-06T09:00:00-07:00'],
    [{ local_time: true }, 'Local time requires a send_at'],
    ...['9:00', '25:00', '10:60', '', 'noon', '10:00'].map((from) => [
      { send_hours: { from, to: '10:00' } },
      'Send hours must be two times such as 09:00 and 20:00, with from before to',
    ]),
    [
      { local_time: true, phone_number: '2065550143' },
      'Local time is only for a message to the list, not for one with phone numbers',
    ],
    [
      { send_hours: all.send_hours, phone_number: '2065550143' },
      'Send hours is only for a message to the list, not for one with phone numbers',
    ],
  ] as [object, string][])('%j is rejected', async (message, error) => {
    expect(await post(message)).toMatchObject({ status: 422, body: { error: `Validation failed: ${error}` } })
    expect((await api.owner.get(path)).body.count).toBe(0)
  })

  test('prevents sending a draft whose deadline has passed', async () => {
    const id = await postId({ draft: true, deliver_by: all.deliver_by })
    now = new Date(all.deliver_by)
    expect(await api.owner.post(`${path}/${id}/send`)).toMatchObject({ status: 422 })
    await put(id, { deliver_by: '2031-05-07T20:00:00-07:00' })
    expect(await api.owner.post(`${path}/${id}/send`)).toMatchObject({ status: 200 })
  })

  test('cancels a scheduled message that is due at or after its deadline', async () => {
    const id = await postId({ send_at: sendAt, deliver_by: '2031-05-06T09:10:00-07:00' })
    now = new Date('2031-05-06T09:10:00-07:00')
    expect(await startDue(rt())).toBe(true)
    expect(await show(id)).toMatchObject({ status: 'cancelled', cancel_reason: 'too_late' })
  })
})

describe('local time', () => {
  async function subscribe(...phones: number[]) {
    for (const phone of phones) await make.subscriber(api.db, { listId, phone, at: new Date('2031-01-01') })
  }

  test('starts when the first time zone reaches that time, and texts recipients at that time of their location', async () => {
    await subscribe(2_065_560_001, 2_125_560_001, 8_085_560_001)
    const id = await postId({ send_at: sendAt, local_time: true })
    // 09:00 in Newfoundland
    expect(await rowOf(id)).toEqual({ starts: new Date('2031-05-06T11:30:00Z'), local: '2031-05-06 09:00:00' })
    now = new Date('2031-05-06T11:29:59Z')
    expect(await startDue(rt())).toBe(false)
    now = new Date('2031-05-06T11:30:00Z')
    expect(await startDue(rt())).toBe(true)
    while (await expandOnce(rt()));
    expect(await dueTimes(id)).toEqual([
      [2_125_560_001, '2031-05-06T13:00:00.000Z'],
      [2_065_560_001, '2031-05-06T16:00:00.000Z'],
      [8_085_560_001, '2031-05-06T19:00:00.000Z'],
    ])
    expect(await show(id)).toMatchObject({ status: 'sending', send_at: sendAt, local_time: true })
  })

  test('can be removed or changed until the message starts', async () => {
    const id = await postId({ send_at: sendAt, local_time: true })
    await put(id, { local_time: false })
    expect(await rowOf(id)).toEqual({ starts: new Date(sendAt), local: null })
    await put(id, { local_time: true, send_at: '2031-05-07T10:00:00-07:00' })
    expect(await rowOf(id)).toEqual({ starts: new Date('2031-05-07T12:30:00Z'), local: '2031-05-07 10:00:00' })
    await put(id, { send_at: null })
    expect(await rowOf(id)).toEqual({ starts: null, local: null })
    expect(await show(id)).toMatchObject({ status: 'draft', local_time: true })
    await put(id, { send_at: sendAt })
    expect(await rowOf(id)).toMatchObject({ local: '2031-05-06 09:00:00' })
    now = new Date('2031-05-06T11:30:00Z')
    await startDue(rt())
    expect(await api.owner.put(`${path}/${id}`, { message: { local_time: false } })).toMatchObject({ status: 422 })
  })

  test('is ignored for a message that is sent early', async () => {
    await subscribe(2_065_560_001, 2_125_560_001)
    const id = await postId({ send_at: sendAt, local_time: true })
    await api.owner.post(`${path}/${id}/send`)
    while (await expandOnce(rt()));
    expect(new Set((await dueTimes(id)).map(([, due]) => due))).toEqual(new Set([now.toISOString()]))
  })

  test('that has passed in the east starts immediately, with the current subscribers', async () => {
    await subscribe(2_065_560_001, 2_125_560_001)
    now = new Date('2031-05-06T15:00:00Z')
    const id = await postId({ send_at: sendAt, local_time: true })
    expect(await rowOf(id)).toMatchObject({ starts: now })
    await startDue(rt())
    while (await expandOnce(rt()));
    expect(await dueTimes(id)).toEqual([
      [2_125_560_001, '2031-05-06T15:00:00.000Z'],
      [2_065_560_001, '2031-05-06T16:00:00.000Z'],
    ])
  })
})
