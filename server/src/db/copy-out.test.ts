import { expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { copyOut, fieldLength, integerAt, microsAt } from './copy-out.ts'

const database = useDatabase()
const copy = (select: string) => `copy (${select}) to stdout (format binary)`
const many = "select n, repeat('x', 200) from generate_series(1, 50000) n"

/** Reads a COPY in steps of up to `step` rows. */
const read = (text: string, onRow: (row: Buffer) => void, { step = 1_000, steps = Number.POSITIVE_INFINITY } = {}) =>
  database.db.tx((tx) =>
    tx.withClient(async (client) => {
      let rows = 0
      const count = (row: Buffer) => {
        onRow(row)
        return ++rows % step === 0
      }
      for await (const _ of copyOut(client, text, count)) {
        // rows of the same piece of the network stream may still come
        await new Promise((resolve) => setImmediate(resolve))
        const before = rows
        await new Promise((resolve) => setTimeout(resolve, 1))
        expect(rows).toBe(before)
        if (--steps <= 0) break
      }
      return rows
    }),
  )

const works = async () => expect(await database.db.one('works', 'select 1 as one')).toEqual({ one: 1 })

test('rows have the values of their fields', async () => {
  const found: unknown[] = []
  await read(
    copy(`select 7::smallint, -8, 9007199254740991, '1999-12-31T23:59:59.999999Z'::timestamptz, null, 'é'`),
    (row) => {
      let at = 2
      const next = <T>(read: (at: number, length: number) => T): T | null => {
        const length = fieldLength(row, at)
        const from = at + 4
        at = from + Math.max(0, length)
        return length < 0 ? null : read(from, length)
      }
      const integer = () => next((from, length) => integerAt(row, from, length))
      found.push(row.readInt16BE(0), integer(), integer(), integer())
      found.push(
        next((from) => microsAt(row, from)),
        integer(),
        next((from, length) => row.toString('utf8', from, from + length)),
      )
    },
  )
  expect(found).toEqual([6, 7, -8, 9_007_199_254_740_991, 946_684_799_999_999, null, 'é'])
})

test('all rows come in their order, however many a reader takes at once', async () => {
  for (const step of [500, 7_777, 100_000]) {
    let last = 0
    const rows = await read(
      copy(many),
      (row) => {
        expect(integerAt(row, 6, 4)).toBe(++last)
      },
      { step },
    )
    expect(rows).toBe(50_000)
  }
  await read(copy('select 1 where false'), () => {
    throw new Error('a row')
  })
  await works()
})

test('the connection works after a reader that stops or throws, and after an error of the statement', async () => {
  expect(await read(copy(many), () => {}, { step: 10, steps: 2 })).toBeLessThan(50_000)
  await works()
  const throwing = read(copy(many), (row) => {
    if (integerAt(row, 6, 4) === 100) throw new Error('full')
  })
  await expect(throwing).rejects.toThrow('full')
  await works()
  await expect(read(copy('select 1 / (n - 30000), n from generate_series(1, 50000) n'), () => {})).rejects.toThrow(
    'division by zero',
  )
  await expect(read(copy('select nothing'), () => {})).rejects.toThrow('nothing')
})
