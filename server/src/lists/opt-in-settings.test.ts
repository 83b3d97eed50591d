import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { getListView } from './lists.ts'
import { readOptInSettings } from './opt-in-settings.schema.ts'
import { changeOptInSettings } from './opt-in-settings.ts'

const api = useApi({ clock: { now: () => new Date('2026-03-02T10:00:00.789Z') } })

async function newList(): Promise<{ id: number }> {
  const response = await api.owner.post('/lists', { list: { name: 'Pantry', first_optin_message: 'Hi' } })
  return response.body.list as { id: number }
}

const put = (list: { id: number }, body: unknown) => api.owner.put(`/lists/${list.id}/opt_in_settings`, body)

async function shown(list: { id: number }) {
  return (await api.owner.get(`/lists/${list.id}`)).body.list as Record<string, unknown>
}

const zipCode = {
  collected_data: 'zip_code',
  request_message: 'What is your ZIP code?',
  retry_message: 'That did not look like one.',
  follow_up: true,
  follow_up_hour: 6,
  no_response_message: 'Still there?',
  success_action: 'nextrequest',
}
const yes = {
  collected_data: 'yes',
  request_message: 'Reply YES to confirm.',
  follow_up: false,
  opt_in_message: 'You are in!',
  second_opt_in_message: 'Welcome back.',
  success_action: 'optinsubscriber',
}
const rest = {
  retry_message: null,
  follow_up: false,
  follow_up_hour: null,
  no_response_message: null,
  opt_in_message: null,
  second_opt_in_message: null,
  success_action: null,
  request_message: null,
  bypass_opt_in_response: false,
}

describe('double opt-in', () => {
  test('stores the steps and returns them unchanged, with keys in alphabetical order', async () => {
    const list = await newList()
    const response = await put(list, { opt_in_type: 'double', opt_in_requests: [zipCode, yes] })
    const stored = { id: expect.any(Number), list_id: list.id, created_at: '2026-03-02T02:00:00-08:00' }
    const steps = [zipCode, yes].map((step) => ({ ...rest, ...stored, updated_at: stored.created_at, ...step }))
    expect(response.status).toBe(200)
    expect(response.body).toEqual({
      status: 'Opt in settings updated',
      opt_in_type: 'double',
      opt_in_requests: steps,
    })
    const [first = {}] = response.body.opt_in_requests as object[]
    expect(Object.keys(first)).toEqual(Object.keys(first).toSorted())
    expect(await shown(list)).toMatchObject({
      opt_in_type: 'double',
      opt_in_requests: steps,
      first_optin_message: 'Hi',
    })
    const { lists } = (await api.owner.get('/lists')).body as { lists: object[] }
    expect(lists).toMatchObject([{ id: list.id, opt_in_requests: steps }])
  })

  test('replaces the stored steps only if steps are given', async () => {
    const list = await newList()
    const { opt_in_requests: first } = (await put(list, { opt_in_type: 'double', opt_in_requests: [zipCode, yes] }))
      .body
    expect((await put(list, { opt_in_type: 'double' })).body.opt_in_requests).toEqual(first)
    expect((await put(list, { opt_in_type: 'double', opt_in_requests: [yes] })).body.opt_in_requests).toMatchObject([
      yes,
    ])
    expect((await put(list, { opt_in_type: 'double', opt_in_requests: [] })).body.opt_in_requests).toEqual([])
  })

  test('does not delete the steps on a change to single, which does not show them', async () => {
    const list = await newList()
    await put(list, { opt_in_type: 'double', opt_in_requests: [yes] })
    await put(list, { opt_in_type: 'single', opt_in_requests: [zipCode] })
    expect(await shown(list)).toMatchObject({ opt_in_type: 'single', opt_in_requests: [] })
    await put(list, { opt_in_type: 'double' })
    expect(await shown(list)).toMatchObject({ opt_in_type: 'double', opt_in_requests: [yes] })
  })

  test('returns null for an action of the last step that was given as null', async () => {
    const list = await newList()
    const response = await put(list, {
      opt_in_type: 'double',
      opt_in_requests: [{ collected_data: 'first_name', success_action: null, bypass_opt_in_response: true }],
    })
    expect(response.body.opt_in_requests).toMatchObject([
      { ...rest, collected_data: 'first_name', success_action: null, bypass_opt_in_response: true },
    ])
  })

  test('uses the last of two keys with the same name', async () => {
    const list = await newList()
    const payload = '{"opt_in_type":"double","opt_in_requests":[{"collected_data":"zip_code","collected_data":"yes"}]}'
    const response = await api.owner.put(`/lists/${list.id}/opt_in_settings`, undefined, { payload })
    expect(response.body.opt_in_requests).toMatchObject([{ collected_data: 'yes' }])
  })

  test.each([
    ['a step without collected_data', [{}], "Collected data can't be blank"],
    [
      'a step with an unknown collected_data',
      [{ collected_data: 'shoe' }],
      'Collected data is not included in the list',
    ],
    ['an unknown action', [{ ...yes, success_action: 'jump' }], 'Success action is not included in the list'],
    ['a last step that leads to a next one', [zipCode], 'Opt in requests must end with optinsubscriber'],
    [
      'a reminder without its hour',
      [{ ...zipCode, follow_up_hour: null }, yes],
      'Opt in requests must have a follow_up_hour where follow_up is true',
    ],
    [
      'a reminder after zero hours',
      [{ ...zipCode, follow_up_hour: 0 }, yes],
      'Follow up hour must be greater than or equal to 1',
    ],
    ['a text of 1,531 characters', [{ ...yes, retry_message: 'a'.repeat(1_531) }], 'Retry message is too long'],
    ['twenty-one steps', Array(21).fill(yes), 'Opt in requests has too many items (maximum is 20)'],
    ['a string as a step', ['yes'], 'Opt in requests must be an object'],
    ['an object instead of an array', yes, 'Opt in requests must be an array'],
  ])('rejects %s, and changes nothing', async (_case, opt_in_requests, error) => {
    const list = await newList()
    const before = await shown(list)
    const response = await put(list, { opt_in_type: 'double', opt_in_requests })
    expect(response.status).toBe(422)
    expect(response.body.error).toContain(error)
    expect(await shown(list)).toEqual(before)
  })
})

describe('single opt-in', () => {
  test('stores the given welcome texts', async () => {
    const list = await newList()
    const response = await put(list, { opt_in_type: 'single', second_optin_message: 'Welcome back' })
    expect(response.status).toBe(200)
    expect(response.body).toEqual({
      status: 'Opt in settings updated',
      opt_in_type: 'single',
      first_optin_message: 'Hi',
      second_optin_message: 'Welcome back',
    })
    expect((await put(list, { opt_in_type: 'single', first_optin_message: null })).body).toMatchObject({
      first_optin_message: '',
      second_optin_message: 'Welcome back',
    })
    expect(await shown(list)).toMatchObject({ opt_in_type: 'single', first_optin_message: '' })
  })

  test('can omit the welcome text', async () => {
    const list = await newList()
    await put(list, { opt_in_type: 'single', bypass_opt_in_response: true })
    expect(await shown(list)).toMatchObject({ bypass_opt_in_response: true })
    const response = await api.owner.post(`/lists/${list.id}/subscribers`, {
      subscriber: { phone_number: '2065550143', bypass_opt_in_process: true },
    })
    expect(response.body.status).toBe('Subscriber has been added - no opt-in message was sent due to list settings.')
    await put(list, { opt_in_type: 'single' })
    expect(await shown(list)).toMatchObject({ bypass_opt_in_response: false })
  })
})

test.each([
  [{}],
  [{ opt_in_type: null }],
  [{ opt_in_type: 'triple' }],
  [{ opt_in_settings: { opt_in_type: 'single' } }],
])('rejects %j', async (body) => {
  expect(await put(await newList(), body)).toMatchObject({ status: 422, body: { status: 'error', code: 'invalid' } })
})

test('two concurrent changes leave all steps of one of them', async () => {
  const fresh = await freshDatabase()
  try {
    const rt = makeRuntime(fresh)
    const list = await make.list(fresh.db)
    const settingsOf = (collected_data: 'yes' | 'zip_code') =>
      readOptInSettings({ opt_in_type: 'double', opt_in_requests: Array(3).fill({ collected_data }) })
    for (let round = 0; round < 5; round += 1) {
      const both = [settingsOf('yes'), settingsOf('zip_code')]
      await Promise.all(both.map((settings) => changeOptInSettings(rt, list.accountId, list.id, settings)))
      const { optInRequests } = await getListView(fresh.db, list.accountId, list.id)
      expect(new Set(optInRequests.map(({ collectedData }) => collectedData)).size).toBe(1)
      expect(optInRequests).toHaveLength(3)
    }
  } finally {
    await fresh.close()
  }
})

test("another account's list cannot be changed", async () => {
  const list = await newList()
  const response = await api.stranger.put(`/lists/${list.id}/opt_in_settings`, {
    opt_in_type: 'double',
    opt_in_requests: [yes],
  })
  expect(response).toMatchObject({ status: 404, body: { error: 'List not found' } })
  expect(await shown(list)).toMatchObject({ opt_in_type: 'single', opt_in_requests: [] })
})
