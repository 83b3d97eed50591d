import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { AppError } from '../errors.ts'
import { readNewList } from '../lists/lists.schema.ts'
import { changeKeywords, createList } from '../lists/lists.ts'
import { listKeywordNames } from './keywords.queries.ts'
import { isObscene } from './obscene-words.ts'

const api = useApi()

async function newList(keyword_names: string[] = []): Promise<{ id: number }> {
  const response = await api.owner.post('/lists', { list: { name: 'Pantry', keyword_names } })
  return response.body.list as { id: number }
}

const put = (list: { id: number }, keyword_names: unknown) =>
  api.owner.put(`/lists/${list.id}/keywords`, { keyword_names })

async function keywordsOf(list: { id: number }) {
  return ((await api.owner.get(`/lists/${list.id}`)).body.list as { keyword_names: string[] }).keyword_names
}

describe('the keywords of a list', () => {
  test('are replaced as a set, in upper case and without duplicates', async () => {
    const list = await newList(['OLD', 'PANTRY'])
    expect(await put(list, ['pantry', ' Fresh ', 'FRESH', 'cedar'])).toMatchObject({
      status: 200,
      body: { status: 'Keywords changed', keyword_names: ['PANTRY', 'FRESH', 'CEDAR'] },
    })
    expect(await keywordsOf(list)).toEqual(['CEDAR', 'FRESH', 'PANTRY'])
    expect((await put(await newList(), ['old'])).status).toBe(200)
  })

  test('can be an empty set', async () => {
    const list = await newList(['PIZZA'])
    expect((await put(list, [])).body).toEqual({ status: 'Keywords changed', keyword_names: [] })
    expect(await keywordsOf(list)).toEqual([])
  })

  test('do not change if one is taken or invalid; the error names all of those', async () => {
    await newList(['PIZZA', 'SALAD'])
    const list = await newList(['BREAD'])
    expect(await put(list, ['FRESH', 'pizza', 'stop', 'shit', 'x', 'salad'])).toMatchObject({
      status: 422,
      body: {
        status: 'error',
        error: 'invalid keyword names: stop, shit, x, PIZZA, SALAD',
        code: 'invalid_keywords',
        details: { keyword_names: ['stop', 'shit', 'x', 'PIZZA', 'SALAD'] },
      },
    })
    expect(await keywordsOf(list)).toEqual(['BREAD'])
    expect((await put(await newList(), ['FRESH'])).status).toBe(200)
  })

  test.each([
    ['undefined', undefined, "Keyword names can't be blank"],
    ['null', null, 'Keyword names must be an array'],
    ['a string', 'PIZZA', 'Keyword names must be an array'],
    ['an array with a number', [1], 'Keyword names must be a string'],
    ['101 words', Array(101).fill('AB'), 'Keyword names has too many items (maximum is 100)'],
    ['a word of 101 letters', ['A'.repeat(101)], 'Keyword names is too long (maximum is 100 characters)'],
  ])('cannot be set to %s', async (_case, given, error) => {
    const list = await newList(['PIZZA'])
    expect(await put(list, given)).toMatchObject({ status: 422, body: { error: `Validation failed: ${error}` } })
    expect(await keywordsOf(list)).toEqual(['PIZZA'])
  })

  test("of another account's list cannot be set", async () => {
    const list = await newList(['PIZZA'])
    const response = await api.stranger.put(`/lists/${list.id}/keywords`, { keyword_names: ['SALAD'] })
    expect(response).toMatchObject({ status: 404, body: { error: 'List not found' } })
    expect(await keywordsOf(list)).toEqual(['PIZZA'])
  })
})

describe('testing a word', () => {
  const availability = async (keyword_name: unknown, person = api.owner, code = api.owner.shortCode.code) =>
    person.post(`/shortcodes/${code}/test_keyword`, { keyword_name })

  test('a test of a free word does not reserve it', async () => {
    for (const word of ['FRESH', 'fresh', 'FRESH']) {
      expect(await availability(word)).toMatchObject({ status: 200, body: { status: 'OK', keyword_name: 'available' } })
    }
    expect((await availability('FRESH')).body).not.toHaveProperty('error')
  })

  test('a taken word is in use until its list releases it', async () => {
    const list = await newList(['FRESH'])
    expect((await availability(' fresh')).body).toEqual({
      status: 'OK',
      keyword_name: 'unavailable',
      error: 'Name is in use',
    })
    await api.owner.delete(`/lists/${list.id}`)
    expect((await availability('FRESH')).body.keyword_name).toBe('available')
  })

  test('a word that is taken on another short code is available', async () => {
    await newList(['FRESH'])
    const second = await make.shortCode(api.db, { accountId: api.owner.accountId })
    expect((await availability('FRESH', api.owner, second.code)).body.keyword_name).toBe('available')
  })

  test.each([
    ['A', 'Name is too short (minimum is 2 characters)'],
    ['', 'Name is too short (minimum is 2 characters)'],
    ['A'.repeat(16), 'Name is too long (maximum is 15 characters)'],
    ['TWO WORDS', 'Name may have letters and digits only, and a dash or an underscore between them'],
    ['stop', 'Name is reserved'],
    ['ass', 'Name is not allowed'],
  ])('%j is unavailable, with the reason', async (word, error) => {
    expect(await availability(word)).toMatchObject({ status: 200, body: { keyword_name: 'unavailable', error } })
  })

  test.each([undefined, null, 7, ['FRESH']])('%j is rejected', async (word) => {
    expect(await availability(word)).toMatchObject({ status: 422, body: { status: 'error', code: 'invalid' } })
  })

  test.each(['00000', 'nonsense', '%00', 'a b', '1'.repeat(30)])(
    'responds with 404 for the unknown short code %s',
    async (code) => {
      expect(await availability('FRESH', api.owner, code)).toMatchObject({
        status: 404,
        body: { error: 'Shortcode not found', code: 'short_code_not_found' },
      })
    },
  )

  test("responds with 404 for another account's short code", async () => {
    expect(await availability('FRESH', api.stranger)).toMatchObject({
      status: 404,
      body: { error: 'Shortcode not found' },
    })
  })
})

describe('obscene words', () => {
  test.each(['FUCK', 'F4CK', '5HIT', 'ASSHOLE', 'FUCKYOU', 'CUNT', 'BITCH'])('%s is obscene', (word) => {
    expect(isObscene(word)).toBe(true)
  })

  test.each([
    ...['PASSION', 'CLASS', 'GRAPES', 'SCUNTHORPE', 'COCKTAIL', 'PANTRY', 'ESSEX', 'HANCOCK', 'DOCUMENT', 'ASSIST'],
    ...['ANALYZE', 'CUMIN', 'SHIITAKE', 'TITAN', 'RAPID', 'NIGERIA', 'SHUTTLE', 'PRIDE', 'GAY', 'BASS'],
  ])('%s is not obscene', (word) => {
    expect(isObscene(word)).toBe(false)
  })
})

describe('concurrently', () => {
  async function setUp() {
    const fresh = await freshDatabase()
    const rt = makeRuntime(fresh)
    const { id: accountId } = await make.account(fresh.db)
    await make.shortCode(fresh.db, { accountId })
    const list = (words: string[]) => createList(rt, accountId, readNewList({ name: 'a' }), words)
    const change = (to: { id: number }, words: string[]) => changeKeywords(rt, accountId, to.id, words)
    const ownersOf = (word: string) =>
      fresh.db.many('owners', 'select list_id from keywords where name = $1 and released_at is null', [word])
    return { fresh, list, change, ownersOf }
  }

  test('a word belongs to one of several lists that request it', async () => {
    const { fresh, list, change, ownersOf } = await setUp()
    try {
      const lists = await Promise.all(Array.from({ length: 6 }, () => list([])))
      for (let round = 0; round < 5; round += 1) {
        const word = `WORD${round}`
        const attempts = await Promise.allSettled(lists.map((one) => change(one, [word])))
        expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        expect(await ownersOf(word)).toHaveLength(1)
        const rejected = attempts.flatMap((attempt) => (attempt.status === 'rejected' ? [attempt.reason] : []))
        expect(rejected.every((reason) => reason instanceof AppError && reason.code === 'invalid_keywords')).toBe(true)
      }
    } finally {
      await fresh.close()
    }
  })

  test('two lists that swap their words end with both words reserved, in any order', async () => {
    const { fresh, list, change, ownersOf } = await setUp()
    try {
      const [one, two] = [await list(['AA']), await list(['BB'])]
      for (let round = 0; round < 10; round += 1) {
        const attempts = await Promise.allSettled([change(one, ['BB']), change(two, ['AA'])])
        for (const attempt of attempts) {
          if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'invalid_keywords' })
        }
        expect((await ownersOf('AA')).length + (await ownersOf('BB')).length).toBe(2)
        await change(one, [])
        await change(two, ['BB'])
        await change(one, ['AA'])
      }
    } finally {
      await fresh.close()
    }
  })

  test('two sets for one list leave all keywords of one of them', async () => {
    const { fresh, list, change } = await setUp()
    try {
      const one = await list(['OLD'])
      await Promise.all([change(one, ['AA', 'BB']), change(one, ['BB', 'CC'])])
      expect([
        ['AA', 'BB'],
        ['BB', 'CC'],
      ]).toContainEqual(await listKeywordNames(fresh.db, one.id))
    } finally {
      await fresh.close()
    }
  })
})
