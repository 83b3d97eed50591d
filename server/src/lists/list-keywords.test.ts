import { describe, expect, test } from 'vitest'
import { type ApiResponse, useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { AppError } from '../errors.ts'
import { readNewList } from './lists.schema.ts'
import { createList } from './lists.ts'

const api = useApi()

type ListBody = { id: number; keyword_names: string[]; counts: object } & Record<string, unknown>
const listOf = (response: ApiResponse) => response.body.list as ListBody

async function create(list: object = {}) {
  return listOf(await api.owner.post('/lists', { list: { name: 'Pantry', ...list } }))
}

describe('keywords', () => {
  test('belong to one list of a short code', async () => {
    await create({ keyword_names: ['PIZZA', 'SALAD'] })
    const response = await api.owner.post('/lists', { list: { name: 'b', keyword_names: ['bread', 'pizza', 'Salad'] } })
    expect(response.status).toBe(422)
    expect(response.body).toMatchObject({
      status: 'error',
      error: 'invalid keyword names: PIZZA, SALAD',
      code: 'invalid_keywords',
    })
    const lists = await api.owner.get('/lists')
    expect(lists.body.count).toBe(1)
    expect(await create({ keyword_names: ['bread'] })).toMatchObject({ keyword_names: ['BREAD'] })
  })

  test('of another short code do not conflict', async () => {
    await create({ keyword_names: ['PIZZA'] })
    const response = await api.stranger.post('/lists', { list: { name: 'a', keyword_names: ['PIZZA'] } })
    expect(response.status).toBe(200)
  })

  test.each([
    'A',
    'A'.repeat(16),
    'TWO WORDS',
    'STOP',
    'help',
    'Yes',
    'OPT-OUT',
    '',
    '🙏🙏',
    '--',
    '-AB',
    'A--B',
    '5h1t',
  ])('%j cannot be a keyword', async (name) => {
    const response = await api.owner.post('/lists', { list: { name: 'a', keyword_names: ['GOOD', name] } })
    expect(response).toMatchObject({ status: 422, body: { error: `invalid keyword names: ${name}` } })
  })

  test.each(['AB', 'A'.repeat(15), 'food4all', 'NIÑO', 'WIC-2'])('%j can be a keyword', async (name) => {
    expect(await create({ keyword_names: [name] })).toMatchObject({ keyword_names: [name.toUpperCase()] })
  })

  test('are released when their list is deleted', async () => {
    const { id } = await create({ keyword_names: ['PIZZA'] })
    await api.owner.delete(`/lists/${id}`)
    expect(await create({ keyword_names: ['PIZZA'] })).toMatchObject({ keyword_names: ['PIZZA'] })
  })

  test('belong to one of two lists that are created concurrently, in any order of the keywords', async () => {
    const fresh = await freshDatabase()
    try {
      const rt = makeRuntime(fresh)
      const { id: accountId } = await make.account(fresh.db)
      await make.shortCode(fresh.db, { accountId })
      const texts = readNewList({ name: 'a' })
      for (let round = 0; round < 10; round += 1) {
        const words = Array.from({ length: 100 }, (_, index) => `R${round}W${index}`)
        const attempts = await Promise.allSettled(
          [words, words.toReversed()].map((order) => createList(rt, accountId, texts, order)),
        )
        expect(attempts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
        const rejected = attempts.find((attempt) => attempt.status === 'rejected')?.reason
        expect(rejected).toBeInstanceOf(AppError)
        expect(rejected).toMatchObject({ code: 'invalid_keywords' })
      }
    } finally {
      await fresh.close()
    }
  })
})
