import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readWithArrow } from '../../test/parquet.ts'
import type { ParquetColumn, ParquetValue } from './parquet-columns.ts'
import { openParquet } from './parquet-reader.ts'
import { encodeRowGroup, parquetFooter, parquetHeader, writeParquet } from './parquet-writer.ts'

const columns: ParquetColumn[] = [
  { name: 'id', type: 'int64' },
  { name: 'content', type: 'text' },
  { name: 'parts', type: 'int32' },
  { name: 'sent_at', type: 'time' },
  { name: 'day', type: 'date' },
  { name: 'is_test', type: 'boolean' },
  { name: 'raw', type: 'bytes' },
]

const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null, freq: 4 })
const difficult = [
  '',
  '=1',
  '\uFEFFa',
  'a "b"\r\n',
  '😀',
  '\u0000',
  '\u001f\t',
  '＝1',
  'é',
  'n'.repeat(40),
  '\u{10FFFF}',
]
const cells = fc.tuple(
  orNull(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
  orNull(fc.oneof(fc.constantFrom(...difficult), fc.string({ unit: 'grapheme', maxLength: 30 }))),
  orNull(fc.integer()),
  orNull(fc.bigInt(-62_135_596_800_000_000n, 253_402_300_799_999_999n)),
  orNull(fc.integer({ min: -700_000, max: 2_900_000 })),
  orNull(fc.boolean()),
  orNull(fc.uint8Array({ maxLength: 20 })),
)
const rowGroups = fc.array(fc.array(cells, { minLength: 1, maxLength: 60 }), { maxLength: 4 })

const transpose = (rows: readonly (readonly ParquetValue[])[]) =>
  columns.map((_, n) => rows.map((row) => row[n] ?? null))

const read = async (file: Buffer) => {
  const opened = await openParquet({ size: file.length, read: async (from, to) => file.subarray(from, to + 1) })
  const rows: ParquetValue[][] = []
  for await (const group of opened.rowGroups()) rows.push(...group)
  return { ...opened, rows }
}

const write = async (groups: readonly (readonly ParquetValue[][])[], notes?: Record<string, string>) => {
  const pieces: Buffer[] = []
  const each = async function* () {
    for (const rows of groups) yield transpose(rows)
  }
  for await (const piece of writeParquet(columns, each(), notes)) pieces.push(piece)
  return Buffer.concat(pieces)
}

describe('a Parquet file', () => {
  test('returns its rows and types, to our reader and to the one of Arrow', async () => {
    await fc.assert(
      fc.asyncProperty(rowGroups, async (groups) => {
        const file = await write(groups, { 'time zone': 'Asia/Kolkata' })
        const found = await read(file)
        expect(found.columns).toEqual(columns)
        expect(found.rowCount).toBe(groups.flat().length)
        expect(found.notes).toEqual({ 'time zone': 'Asia/Kolkata' })
        expect(found.rows).toEqual(groups.flat())
        const arrow = readWithArrow(file)
        expect(arrow.columns).toEqual({
          ...{ id: 'Int64', content: 'Utf8', parts: 'Int32', sent_at: 'Timestamp<MICROSECOND, UTC>' },
          ...{ day: 'Date32<DAY>', is_test: 'Bool', raw: 'Binary' },
        })
        expect(arrow.rows.map((row) => Object.values(row))).toEqual(groups.flat())
      }),
      { numRuns: 60 },
    )
  })

  test('is the same if another process writes its row groups and its footer', async () => {
    const rows = fc.sample(cells, { numRuns: 90, seed: 1 })
    const groups = [rows.slice(0, 50), rows.slice(50, 51), rows.slice(51)]
    const parts = groups.map((group) => encodeRowGroup(columns, transpose(group)))
    // what a database returns
    const descriptions = parts.map(({ description }) => `${description}`)
    const footer = parquetFooter(columns, descriptions, { a: 'b' })
    const file = Buffer.concat([parquetHeader, ...parts.map(({ bytes }) => bytes), footer])
    expect(file.equals(await write(groups, { a: 'b' }))).toBe(true)
  })

  test('that repeats its values is much smaller than they are', async () => {
    const rows = fc.sample(cells, { numRuns: 10, seed: 1 })
    const file = await write([Array.from({ length: 5_000 }, (_, n) => rows[n % 10] ?? [])])
    expect(file.length).toBeLessThan(20_000)
    expect((await read(file)).rowCount).toBe(5_000)
  })

  test('that is cut off or damaged is not read', async () => {
    const file = await write([fc.sample(cells, { numRuns: 50, seed: 1 })])
    await expect(read(file.subarray(0, -1))).rejects.toThrow()
    await expect(read(file.subarray(0, 40))).rejects.toThrow()
    const damaged = Buffer.from(file)
    damaged.fill(0, 8, 200)
    await expect(read(damaged)).rejects.toThrow()
  })

  test.each([
    ['text', 1],
    ['int32', 1.5],
    ['int32', 2 ** 31],
    ['int64', 2n ** 63n],
    ['int64', 'one'],
    ['bytes', true],
  ] as const)('rejects a cell of %s that is %s', (type, value) => {
    expect(() => encodeRowGroup([{ name: 'a', type }], [[value]])).toThrow()
  })
})
