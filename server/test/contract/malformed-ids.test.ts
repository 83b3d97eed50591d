import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../api.ts'
import { bodies } from './bodies.ts'
import { createFixtures, type Ids } from './fixtures.ts'

// Malformed ids in paths get the same response as unknown ids of the same noun.

let ids: Ids
const api = useApi({}, async ({ db, owner }) => {
  ids = await createFixtures(db, owner, { name: 'Cedar Valley Pantry', phone: 2_065_550_143 })
})

const malformed = ['abc', '0', '-1', '1.5', '1e3', '9'.repeat(20), '9'.repeat(500), '%E2%82%AC', '%00', '%2F', '%20']

/** Well-formed ids that do not exist. */
const unknown: Record<string, string> = { phone_number: '2065550199', shortcode: '000000' }
const unknownNumbers = ['1000000000', String(2 ** 31), String(Number.MAX_SAFE_INTEGER)]

const cases = Object.entries(bodies).flatMap(([operation, body]) =>
  [...operation.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => [name, operation, body] as const),
)

describe.each(cases)('%s of %s', (name, operation, body) => {
  test('responds with 404 if it is malformed or unknown', async () => {
    // a broadcast has an explanation for every phone number, with the reason if the number is not a recipient
    const isExplanation = operation === 'GET /lists/{list_id}/messages/{message_id}/recipients/{phone_number}'
    const candidates = unknown[name] === undefined ? unknownNumbers : [unknown[name]]
    const notFound =
      isExplanation && name === 'phone_number'
        ? { status: 'error', error: 'Recipient not found', code: 'recipient_not_found' }
        : await call(candidates[0] ?? '')
    expect(notFound).toMatchObject({ status: 'error', code: expect.stringMatching(/_not_found$/) })
    expect(notFound.code).not.toBe('path_not_found')
    for (const id of malformed) expect(await call(id), id).toEqual(notFound)
    for (const id of candidates.slice(1)) expect(await call(id), id).toEqual(notFound)
  })

  async function call(id: string): Promise<Record<string, unknown>> {
    const [method = '', template = ''] = operation.split(' ')
    const url = `/api/v2${template.replace(/\{(\w+)\}/g, (_, key) => (key === name ? id : (ids[key] ?? '')))}`
    const type = typeof body === 'string' ? 'text/csv' : 'application/json'
    const payload = body === null ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }
    const headers = { authorization: basic(api.owner.key), 'content-type': type }
    const response = await api.app.inject({ method: method as 'GET', url, headers, ...payload })
    const { request_id: _, ...rest } = response.json()
    return response.statusCode === 404 ? rest : { ...rest, statusCode: response.statusCode }
  }
})
