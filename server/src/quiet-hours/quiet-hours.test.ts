import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { loadQuietHours, weekHoursByState } from './quiet-hours.ts'

const api = useApi({ clock: { now: () => new Date('2031-05-05T18:00:00Z') } })

type Hours = { state: string; weekdays: number[]; from: string; to: string; own: boolean }
type QuietHours = { broadcasts: boolean; transactional: boolean; hours: Hours[] }

const show = async () => (await api.owner.get('/quiet_hours')).body.quiet_hours as QuietHours
const put = (quiet_hours: object) => api.owner.put('/quiet_hours', { quiet_hours })
const rowsOf = (state: string, { hours }: QuietHours) =>
  hours.filter((row) => row.state === state).map(({ weekdays, from, to, own }) => [weekdays.join(''), from, to, own])

const florida = { state: 'FL', weekdays: [1, 2, 3, 4, 5], from: '10:00', to: '18:00', source: 'Our lawyer' }

test('legal hours have a source, and an account observes them only after it has enabled them', async () => {
  const known = await show()
  expect(known).toMatchObject({ broadcasts: false, transactional: false })
  expect(rowsOf('US', known)).toEqual([['1234567', '08:00', '21:00', false]])
  expect(rowsOf('RI', known)).toEqual([
    ['12345', '09:00', '18:00', false],
    ['67', '10:00', '17:00', false],
  ])
  expect(known.hours.every((row) => 'source' in row && 'as_of' in row)).toBe(true)
})

test('own hours replace the legal hours of their state, and each update replaces them all', async () => {
  const response = await put({ broadcasts: true, hours: [florida] })
  expect(response, JSON.stringify(response.body)).toMatchObject({ status: 200 })
  const known = await show()
  expect(known).toMatchObject({ broadcasts: true, transactional: false })
  expect(rowsOf('FL', known)).toEqual([['12345', '10:00', '18:00', true]])
  expect(known.hours.find((row) => row.own)).toMatchObject({ source: 'Our lawyer', as_of: '2031-05-05' })
  expect((await loadQuietHours(api.db, api.owner.accountId)).get('FL')).toEqual([
    ...Array(5).fill({ from: 600, to: 1080 }),
    null,
    null,
  ])
  await put({ transactional: true })
  expect(await show()).toMatchObject({ broadcasts: true, transactional: true })
  expect(rowsOf('FL', await show())).toEqual([['12345', '10:00', '18:00', true]])
  await put({ hours: [] })
  expect(rowsOf('FL', await show())).toEqual([['1234567', '08:00', '20:00', false]])
})

test('own hours do not affect other accounts', async () => {
  await put({ broadcasts: true, hours: [florida] })
  const others = (await api.stranger.get('/quiet_hours')).body.quiet_hours as QuietHours
  expect(others.broadcasts).toBe(false)
  expect(rowsOf('FL', others)).toEqual([['1234567', '08:00', '20:00', false]])
})

describe('an update is rejected and changes nothing with', () => {
  test.each([
    { ...florida, state: 'Florida' },
    { ...florida, state: 'fl' },
    { ...florida, weekdays: [] },
    { ...florida, weekdays: [0] },
    { ...florida, weekdays: [1, 1] },
    { ...florida, from: '18:00' },
    { ...florida, from: '8:00' },
    { ...florida, to: '24:01' },
    { ...florida, source: ' ' },
    { ...florida, source: undefined },
    { ...florida, more: 1 },
  ])('the row %j', async (row) => {
    expect(await put({ broadcasts: true, hours: [florida, row] })).toMatchObject({ status: 422 })
    expect(await show()).toMatchObject({ broadcasts: false })
    expect(rowsOf('FL', await show())).toEqual([['1234567', '08:00', '20:00', false]])
  })

  test.each([
    ['14:00', '18:00'],
    ['12:00', '18:00'],
  ])('rows of a weekday that do not overlap: 09:00 to 12:00 and %s to %s', async (from, to) => {
    const morning = { ...florida, from: '09:00', to: '12:00' }
    const elsewhere = { ...florida, state: 'GA', from, to }
    const weekend = { ...florida, weekdays: [6, 7], from, to }
    const hours = [morning, elsewhere, weekend, { ...florida, weekdays: [5, 6], from, to }]
    const response = await put({ broadcasts: true, hours })
    expect(response).toMatchObject({ status: 422, body: { code: 'invalid' } })
    expect(response.body.details).toEqual({
      'quiet_hours.hours.3': ['shares a weekday with hours.0, but no time of that day'],
    })
    expect(await show()).toMatchObject({ broadcasts: false })
    expect(await put({ hours: hours.slice(0, 3) })).toMatchObject({ status: 200 })
  })

  test('an unknown state', async () => {
    const response = await put({ hours: [florida, { ...florida, state: 'WN' }, { ...florida, state: 'ZZ' }] })
    expect(response).toMatchObject({ status: 422 })
    expect(Object.keys(response.body.details as object)).toEqual(['quiet_hours.hours.1', 'quiet_hours.hours.2'])
    expect(await put({ hours: ['US', 'DC', 'PR'].map((state) => ({ ...florida, state })) })).toMatchObject({
      status: 200,
    })
  })
})

describe('the hours of a list', () => {
  let path: string
  beforeEach(async () => {
    const response = await api.owner.post('/lists', {
      list: { name: 'Soup', send_hours: { from: '09:30', to: '24:00' } },
    })
    path = `/lists/${(response.body.list as { id: number }).id}`
  })
  const list = async () => (await api.owner.get(path)).body.list

  test('are stored, changed and removed', async () => {
    expect(await list()).toMatchObject({ quiet_hours: false, send_hours: { from: '09:30', to: '24:00' } })
    await api.owner.put(path, { list: { quiet_hours: true } })
    expect(await list()).toMatchObject({ quiet_hours: true, send_hours: { from: '09:30', to: '24:00' } })
    await api.owner.put(path, { list: { quiet_hours: false, send_hours: null } })
    expect(await list()).toMatchObject({ quiet_hours: false, send_hours: null })
  })

  test('are rejected if `from` is not before `to`', async () => {
    const response = await api.owner.put(path, { list: { name: 'Other', send_hours: { from: '12:00', to: '11:00' } } })
    expect(response).toMatchObject({ status: 422 })
    expect(await list()).toMatchObject({ name: 'Soup' })
  })
})

test('rows with the same weekday are intersected', () => {
  const week = weekHoursByState([
    { state: 'WA', weekdays: [1, 2, 3], from: 480, to: 1200 },
    { state: 'WA', weekdays: [2, 3], from: 540, to: 1260 },
    { state: 'WA', weekdays: [3], from: 0, to: 500 },
  ]).get('WA')
  expect(week?.slice(0, 4)).toEqual([{ from: 480, to: 1200 }, { from: 540, to: 1200 }, null, null])
})
