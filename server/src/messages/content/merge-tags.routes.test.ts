import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { startDue } from '../drafts/drafts.ts'

let now = new Date('2026-03-02T10:00:00Z')
const api = useApi({ clock: { now: () => now } })

let path: string
let list: string
let listId: number
beforeEach(async () => {
  now = new Date('2026-03-02T10:00:00Z')
  const { accountId, shortCode } = api.owner
  listId = (await make.list(api.db, { accountId, shortCodeId: shortCode.id })).id
  list = `/lists/${listId}`
  path = `${list}/messages`
  const field = { label: 'Team', key: 'team', content_type: 'text', max_length: 20, default_value: 'the pantry' }
  await api.owner.post(`${list}/custom_fields`, { custom_field: field })
})

const send = (message: object) => api.owner.post(path, { message })
const count = async () => (await api.db.one<{ n: number }>('count', 'select count(*)::int as n from messages')).n

async function draft(content: string): Promise<number> {
  const response = await send({ content, draft: true })
  expect(response.status, response.text).toBe(200)
  return (response.body.message as { id: number }).id
}

const texts = async (id: number) =>
  (
    await api.db.many<{ content: string | null }>(
      'texts',
      'select content from message_log where message_id = $1 order by id',
      [id],
    )
  ).map((row) => row.content)

describe('a message with merge tags', () => {
  test.each([
    'Hi {first_name} {last_name} of {team}!',
    'Hi {first_name|neighbor}, {email} {zip_code} {phone_number}',
    '{50% off} :-{ }',
    '\\{unknown} is a brace',
    '\\{{first_name}} \\{subscriber.first_name}',
    `{first_name}${'a'.repeat(154)}`,
  ])('is accepted: %j', async (content) => {
    expect(await send({ content })).toMatchObject({ status: 200 })
    expect(await send({ content, draft: true })).toMatchObject({ status: 200 })
  })

  const rejected: [string, string][] = [
    ['Hi {firstname}, {team}, {nobody|x}!', 'Content has unknown merge tags: {firstname}, {nobody}'],
    ['Hi {first name}', 'Content has unknown merge tags: {first name}'],
    ['Hi {{first_name}}', 'Content has merge tags in two pairs of braces, one is enough: {first_name}'],
    [
      'Hi {first_name|{last_name}}!',
      'Content has malformed merge tags (write \\{ for a brace): {first_name|{last_name}}',
    ],
    ['Hi {first_name', 'Content has malformed merge tags (write \\{ for a brace): {first_name'],
    [
      'Hi {subscriber.first_name|you}, {team',
      'Content has malformed merge tags (write \\{ for a brace): {subscriber.first_name|you}, {team',
    ],
    ...['\u200B', '\u202E', '\uFEFF', '\u0007', '% \u2060', '\u0301'].map((before): [string, string] => [
      `Hi {${before}first_name}`,
      `Content has malformed merge tags (write \\{ for a brace): {${before}first_name}`,
    ]),
    ['{last_name} {email}', 'Content would be blank for some recipients: add fall-backs to its merge tags'],
    [`{first_name}${'a'.repeat(155)}`, 'Content is too long (maximum is 160 characters)'],
    [`{first_name|${'x'.repeat(5_000)}}`, 'Content is too long (maximum is 160 characters)'],
  ]
  test.each(rejected)('is rejected, also as a draft: %j', async (content, fault) => {
    for (const draft of [false, true]) {
      expect(await send({ content, draft })).toMatchObject({
        status: 422,
        body: { error: `Validation failed: ${fault}` },
      })
    }
    expect(await send({ content, phone_number: '2065550143' })).toMatchObject({ status: 422 })
    const id = await draft('Hi')
    expect(await api.owner.put(`${path}/${id}`, { message: { content } })).toMatchObject({ status: 422 })
    expect(await count()).toBe(1)
  })

  test('cannot use the custom fields of another list', async () => {
    const { accountId, shortCode } = api.owner
    const other = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
    expect(await api.owner.post(`/lists/${other.id}/messages`, { message: { content: '{team}' } })).toMatchObject({
      status: 422,
    })
  })

  test('is shown with its tags', async () => {
    const id = await draft('Hi {first_name}')
    expect((await api.owner.get(`${path}/${id}`)).body.message).toMatchObject({ content: 'Hi {first_name}' })
  })
})

describe('a message to given numbers', () => {
  test("uses the values of each number's profile, and the fallbacks for a number that is not on the list", async () => {
    await make.subscriber(api.db, { listId, phone: 2065550143, firstName: 'Ana' })
    const response = await send({ content: 'Hi {first_name} of {team}', phone_numbers: ['2065550144', '2065550143'] })
    const { id } = response.body.message as { id: number }
    expect(await texts(id)).toEqual(['Hi friend of the pantry', 'Hi Ana of the pantry'])
  })

  test('is rendered for its recipient if it is a test of a draft', async () => {
    await make.subscriber(api.db, { listId, phone: 2065550143, firstName: 'Ana' })
    const id = await draft('Hi {first_name}')
    const response = await api.owner.post(`${path}/${id}/test`, { phone_numbers: ['2065550143'] })
    expect(await texts((response.body.message as { id: number }).id)).toEqual(['Hi Ana'])
  })

  test('is rejected if one text would be too long, with the number in the error', async () => {
    await make.subscriber(api.db, { listId, phone: 2065550143, firstName: 'A'.repeat(50) })
    const content = `{first_name}${'a'.repeat(120)}`
    expect(await send({ content, phone_numbers: ['2065550143', '2065550144'] })).toMatchObject({
      status: 422,
      body: { error: 'Validation failed: Phone numbers would get a text that is too long: 2065550143' },
    })
    expect(await count()).toBe(0)
    expect(await send({ content, max_parts: 2, phone_numbers: ['2065550143'] })).toMatchObject({ status: 200 })
  })

  test('contains braces as plain text if it has no list', async () => {
    const text = { number: '2065550143', content: 'Your code: {first_name}' }
    const response = await api.owner.post('/transactional_messages', { transactional_message: text })
    const { id } = response.body.transactional_message as { id: number }
    expect(await texts(id)).toEqual([null])
  })
})

describe('after the custom field of a tag is deleted', () => {
  const removeField = () => api.owner.delete(`${list}/custom_fields`, { key: 'team' })

  test('a draft cannot be sent', async () => {
    const id = await draft('To {team}')
    await removeField()
    expect(await api.owner.post(`${path}/${id}/send`)).toMatchObject({
      status: 422,
      body: { error: 'Validation failed: Content has unknown merge tags: {team}' },
    })
  })

  test('a scheduled message is cancelled at its time, with the reason', async () => {
    const response = await send({ content: 'To {team}', send_at: '2026-03-02T11:00:00Z' })
    const { id } = response.body.message as { id: number }
    await removeField()
    now = new Date('2026-03-02T11:00:01Z')
    expect(await startDue(makeRuntime({ db: api.db, clock: { now: () => now } }))).toBe(true)
    expect((await api.owner.get(`${path}/${id}`)).body.message).toMatchObject({
      status: 'cancelled',
      cancel_reason: 'content',
    })
  })
})
