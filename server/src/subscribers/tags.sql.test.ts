import { expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { sql } from '../db/sql.ts'
import { hasAnyTag, hasEveryTag, tagsWithout, unionOfTags } from './tags.sql.ts'

const database = useDatabase()

const named = (from: number, count: number) => Array.from({ length: count }, (_, n) => `tag ${from + n}`)
/** In an order that is not that of the names. */
const shuffled = (tags: string[]) => tags.map((_, n) => tags[(n * 7) % tags.length] as string)

test.each([
  ['none', [], []],
  ['few, none in common', ['b', 'a'], ['d', 'c']],
  ['few, some in common', ['b', 'a', 'c'], ['d', 'a']],
  ['few, all in common', ['b', 'a', 'c'], ['c', 'b']],
  ['many, none in common', shuffled(named(1, 200)), shuffled(named(300, 100))],
  ['many, one in common', shuffled(named(1, 200)), shuffled(named(200, 100))],
  ['many, all in common', shuffled(named(1, 200)), shuffled(named(50, 100))],
])('%s: tags are compared alike, whether one by one or hashed', async (_, stored, given) => {
  const of = sql`${stored}::text[]`
  const others = sql`${given}::text[]`
  const found = await database.db.one(
    'compare',
    sql`
    select ${unionOfTags(of, others)} as union, ${tagsWithout(of, others)} as without, ${hasAnyTag(of, others)} as any,
           ${hasEveryTag(of, others)} as every`,
  )
  expect(found).toEqual({
    union: [...new Set([...stored, ...given])],
    without: stored.filter((tag) => !given.includes(tag)),
    any: stored.some((tag) => given.includes(tag)),
    every: given.every((tag) => stored.includes(tag)),
  })
})
