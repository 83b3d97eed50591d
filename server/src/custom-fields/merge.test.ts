import fc from 'fast-check'
import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'

const api = useApi()

const change = fc.record(
  {
    size: fc.integer({ min: -999, max: 999 }),
    team: fc.string({ minLength: 1, maxLength: 20 }).filter((value) => value.trim() !== '' && !value.includes('\0')),
    first_name: fc.constantFrom('Marisol', 'Ada', 'Ines'),
    tags: fc.subarray(['vip', 'local', 'new']),
    color: fc.string(),
  },
  { requiredKeys: [] },
)

test('a series of updates leaves the last value of each field and all tags, and ignores unknown keys', async () => {
  const { owner, db } = api
  const list = await make.list(db, { accountId: owner.accountId, shortCodeId: owner.shortCode.id })
  const fields = `/lists/${list.id}/custom_fields`
  await owner.post(fields, { custom_field: { label: 'Size', key: 'size', content_type: 'number', max_length: 9 } })
  await owner.post(fields, { custom_field: { label: 'Team', key: 'team', content_type: 'text', max_length: 20 } })
  let phone = 2_065_560_000
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), async (changes) => {
      const at = `/lists/${list.id}/subscribers/${++phone}`
      await make.subscriber(db, { listId: list.id, phone })
      for (const subscriber of changes) expect(await owner.put(at, { subscriber })).toMatchObject({ status: 200 })
      const last = (key: 'size' | 'team' | 'first_name') =>
        changes.map((each) => each[key]).findLast((value) => value !== undefined)
      const shown = (await owner.get(at)).body.subscriber as Record<string, unknown>
      expect(shown.size ?? undefined).toBe(last('size'))
      expect(shown.team ?? undefined).toBe(last('team'))
      expect(shown.first_name).toBe(last('first_name') ?? '')
      expect(new Set(shown.tags as string[])).toEqual(new Set(changes.flatMap(({ tags = [] }) => tags)))
      expect(shown).not.toHaveProperty('color')
    }),
    { numRuns: 40 },
  )
})
