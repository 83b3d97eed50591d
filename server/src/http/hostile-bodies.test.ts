import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshApi } from '../../test/api.ts'
import { hostileRequests, numberKeys, patternKeys, slowPattern, slowPatternLength } from '../../test/hostile-bodies.ts'
import { make } from '../../test/make.ts'

// One account sends hostile requests while another reads its account. The wait is measured as CPU time of the thread, which
// does not depend on the load of the machine: whatever this thread computes meanwhile delays the other account.

const maxWaitMs = 250

/** The attacker is the owner, and the other account the stranger. */
let api: Awaited<ReturnType<typeof freshApi>>
let listPath: string

beforeAll(async () => {
  api = await freshApi()
  const { db } = api.database
  const { accountId, shortCode } = api.owner
  const { id } = await make.list(db, { accountId, shortCodeId: shortCode.id })
  listPath = `/lists/${id}`
  await make.subscriber(db, { listId: id, phone: 2065550143 })
  const create = async (custom_field: { key: string }) => {
    const body = { custom_field: { ...custom_field, label: custom_field.key } }
    expect(await api.owner.post(`${listPath}/custom_fields`, body)).toMatchObject({ status: 201 })
  }
  const pattern = { pattern: slowPattern, should_validate_regex_via_api: true }
  for (const key of patternKeys) {
    await create({ key, content_type: 'text', max_length: slowPatternLength, ...pattern } as { key: string })
  }
  for (const key of numberKeys) await create({ key, content_type: 'number', max_length: 9_999 } as { key: string })
  await waitOfBystander()
}, 60_000)

afterAll(() => api.close())

/** Returns the CPU time in ms that this thread uses until the other account has its response. */
async function waitOfBystander(): Promise<number> {
  const before = process.threadCpuUsage()
  expect((await api.stranger.get('/accounts/me')).status).toBe(200)
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1_000
}

test.each(hostileRequests)(
  'another account does not wait for $name',
  async (request) => {
    const { method, path, body, type = 'application/json', headers = {} } = request
    const usual = await waitOfBystander()
    let status: number | undefined
    const url = path.startsWith('/') ? path : path === '' ? listPath : `${listPath}/${path}`
    const sent = api.owner.send(method, url, { 'content-type': type, ...headers }, body).then((response) => {
      status = response.status
      expect(response.text.length).toBeLessThan(2_000_000)
    })
    let longest = 0
    do longest = Math.max(longest, await waitOfBystander())
    while (status === undefined)
    await sent
    expect(status).toBeLessThan(500)
    expect(longest - usual).toBeLessThan(maxWaitMs)
  },
  60_000,
)

test('a large body of an account is parsed after one of those that another one has sent before', async () => {
  const body = JSON.stringify({ list: { name: 'x'.repeat(20_000) } })
  const done: string[] = []
  const send = async (name: 'owner' | 'stranger') => {
    expect((await api[name].send('POST', '/lists', {}, body)).status).toBe(422)
    done.push(name)
  }
  await Promise.all([...Array(6).fill('owner'), 'stranger'].map(send))
  expect(done.indexOf('stranger')).toBeLessThan(3)
})

test.each([
  ['flight_plans', { message: keysOf(1_001) }, 'Message has too many keys (maximum is 1000)'],
  [
    '/quiet_hours',
    { quiet_hours: { hours: [{ weekdays: Array(8).fill(1) }] } },
    'Weekdays has too many items (maximum is 7)',
  ],
])('%s rejects many parts with one error', async (path, body, error) => {
  const url = path.startsWith('/') ? path : `${listPath}/${path}`
  const method = path.startsWith('/') ? 'PUT' : 'POST'
  const response = await api.owner.send(method, url, {}, JSON.stringify(body))
  expect(response).toMatchObject({ status: 422, body: { error: `Validation failed: ${error}` } })
})

function keysOf(count: number) {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`key_${n}`, n]))
}
