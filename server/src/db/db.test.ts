import type pg from 'pg'
import { expect, test } from 'vitest'
import { freshDatabase, useDatabase } from '../../test/database.ts'
import { clientDb, poolDb } from './db.ts'

const database = useDatabase()

/** A connection that records its statements, and rejects a statement beside another one as pg 9 will. */
function makeClient() {
  const texts: string[] = []
  let busy = false
  const client = {
    async query({ text }: pg.QueryConfig) {
      if (busy) throw new Error(`${text} began beside another statement`)
      busy = true
      await new Promise(setImmediate)
      busy = false
      texts.push(text)
      if (text.includes('fail')) throw new Error('failed')
      return { rows: [{ text }], rowCount: 1 }
    },
    on: () => {},
    off: () => {},
    release: () => {},
  }
  return { client: client as unknown as pg.PoolClient, texts }
}

test('statements that start together on one connection run in their order, after a failed one as well', async () => {
  const { client, texts } = makeClient()
  const db = clientDb(client)
  const started = ['one', 'fail', 'two'].map((name) => db.exec(name, name))
  const nested = db.tx(async (tx) => Promise.all([tx.exec('three', 'three'), db.exec('four', 'four')]))
  const outcomes = await Promise.allSettled([...started, nested])
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  const names = texts.map((text) => text.replace(/^\/\* \w+ \*\/ | s\d+$/g, ''))
  expect(names).toEqual(['one', 'fail', 'two', 'savepoint', 'three', 'four', 'release savepoint'])
})

test('a transaction is rolled back after the statements that were started before', async () => {
  const { client, texts } = makeClient()
  const db = poolDb({ connect: async () => client } as unknown as pg.Pool)
  const work = db.tx(async (tx) => Promise.all([tx.exec('fail', 'fail'), tx.exec('one', 'one'), tx.exec('two', 'two')]))
  await expect(work).rejects.toThrow('failed')
  expect(texts.at(0)).toBe('begin')
  expect(texts.slice(1).map((text) => text.split(' ').at(-1))).toEqual(['fail', 'one', 'two', 'rollback'])
})

test('statements of a transaction may start together', async () => {
  const one = (n: number) => database.db.one<{ n: number }>('number', 'select $1::int as n', [n])
  expect(await Promise.all([1, 2, 3].map(one))).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  const fresh = await freshDatabase()
  try {
    const sum = fresh.db.tx(async (tx) =>
      Promise.all([1, 2].map((n) => tx.one<{ n: number }>('number', 'select $1::int as n', [n]))),
    )
    expect(await sum).toEqual([{ n: 1 }, { n: 2 }])
  } finally {
    await fresh.close()
  }
})
