import { beforeEach, expect, test } from 'vitest'
import { useApi } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { checkCounters } from '../../../test/sending.ts'
import { reopenClosed, suppressLate } from '../../broadcasts/reopen.ts'

// Quiet hours of the account applied to texts to given numbers.

let now: Date
const clock = { now: () => now }
const api = useApi({ clock })
const rt = () => ({ ...makeRuntime({ db: api.db }), clock })

let listId: number
beforeEach(async () => {
  now = new Date('2031-05-06T23:30:00Z')
  const { accountId, shortCode } = api.owner
  listId = (await make.list(api.db, { accountId, shortCodeId: shortCode.id })).id
})

const setQuietHours = (transactional = true) => api.owner.put('/quiet_hours', { quiet_hours: { transactional } })
const [seattle, tampa, providence, tacoma] = ['2065560001', '8135560001', '4015560001', '2535560001']

async function send(message: object): Promise<number> {
  const response = await api.owner.post(`/lists/${listId}/messages`, {
    message: { content: 'Hi {first_name}!', ...message },
  })
  expect(response, JSON.stringify(response.body)).toMatchObject({ status: 200 })
  return (response.body.message as { id: number }).id
}

async function chunks(id: number) {
  await checkCounters(api.db, id)
  const rows = await api.db.many<{ texts: string[]; due: Date; closes: Date | null }>(
    'chunks_of',
    `select array_agg(l.phone || coalesce(' ' || l.content, '') order by l.id) as texts, c.due_at as due, c.closes_at as closes
       from send_chunks c join message_log l on l.message_id = $1 and l.id between c.first_log_id and c.last_log_id
      where c.message_id = $1 group by c.id order by c.first_log_id`,
    [id],
  )
  const short = (time: Date | null) => time && `${time.toISOString().slice(5, 16)}Z`
  return rows.map((row) => [row.texts.join(', '), short(row.due), short(row.closes)])
}

const all = [seattle, tampa, providence, tacoma]

test('texts are sent immediately by default', async () => {
  await api.owner.put('/quiet_hours', { quiet_hours: { broadcasts: true } })
  const id = await send({ phone_numbers: all })
  expect(await chunks(id)).toEqual([[all.map((phone) => `${phone} Hi friend!`).join(', '), '05-06T23:30Z', null]])
})

test('texts wait for the window of their location if the account applies quiet hours', async () => {
  await setQuietHours()
  await make.subscriber(api.db, { listId, phone: Number(tampa), firstName: 'Marisol' })
  const id = await send({ phone_numbers: all })
  expect(await chunks(id)).toEqual([
    [`${seattle} Hi friend!, ${tacoma} Hi friend!`, '05-06T23:30Z', '05-07T03:00Z'],
    [`${tampa} Hi Marisol!`, '05-06T23:30Z', '05-07T00:00Z'],
    [`${providence} Hi friend!`, '05-07T13:00Z', '05-07T22:00Z'],
  ])
  now = new Date('2031-05-07T00:00:00Z')
  await reopenClosed(rt())
  expect((await chunks(id))[1]).toEqual([`${tampa} Hi Marisol!`, '05-07T12:00Z', '05-08T00:00Z'])
})

test('the location comes from the zip code of the profile on the list', async () => {
  await setQuietHours()
  await make.subscriber(api.db, { listId, phone: Number(seattle) })
  await api.owner.put(`/lists/${listId}/subscribers/${seattle}`, { subscriber: { zip_code: '33601' } })
  expect(await chunks(await send({ phone_number: seattle }))).toEqual([
    [`${seattle} Hi friend!`, '05-06T23:30Z', '05-07T00:00Z'],
  ])
})

test('texts are sent immediately when the account switches quiet hours off', async () => {
  await setQuietHours()
  const id = await send({ phone_number: tampa })
  await setQuietHours(false)
  now = new Date('2031-05-07T00:00:00Z')
  await reopenClosed(rt())
  expect(await chunks(id)).toEqual([[`${tampa} Hi friend!`, '05-07T00:00Z', null]])
})

test('texts wait for the only allowed hour of the week', async () => {
  const { state, ...hours } = { state: 'WA', weekdays: [3], from: '08:00', to: '09:00', source: 'Us' }
  await api.owner.put('/quiet_hours', { quiet_hours: { transactional: true, hours: [{ state, ...hours }] } })
  // a Wednesday is never more than a week away
  expect(await chunks(await send({ phone_number: seattle }))).toEqual([
    [`${seattle} Hi friend!`, '05-07T15:00Z', '05-07T16:00Z'],
  ])
})

test.each(['/transactional_messages', 'list'])('texts to %s are suppressed at their deadline', async (target) => {
  await setQuietHours()
  const deliver_by = '2031-05-07T10:00:00Z'
  let id: number
  if (target === 'list') id = await send({ phone_number: providence, deliver_by })
  else {
    const message = { number: providence, content: 'Hi!', deliver_by }
    const response = await api.owner.post(target, { transactional_message: message })
    id = (response.body.transactional_message as { id: number }).id
  }
  now = new Date(deliver_by)
  expect(await suppressLate(rt())).toBe(1)
  await checkCounters(api.db, id)
  expect(await api.db.one('reason_of', 'select state, reason from message_log where message_id = $1', [id])).toEqual({
    state: 'suppressed',
    reason: 'too_late',
  })
})

test.each([
  ['2031-05-06T23:30:00Z', 'must be in the future'],
  ['tonight', 'must be a time with an offset, as 2031-05-06T09:00:00-07:00'],
])('rejects %s as a deadline', async (deliver_by, fault) => {
  const message = { number: seattle, content: 'Hi!', deliver_by }
  const response = await api.owner.post('/transactional_messages', { transactional_message: message })
  expect(response).toMatchObject({ status: 422, body: { error: `Validation failed: Deliver by ${fault}` } })
})
