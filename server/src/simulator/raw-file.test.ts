import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RawFile, rawLines, readRawFile, smscIdOf } from './raw-file.ts'
import { openSettledReceipts, type SettledReceipts } from './settled-receipts.ts'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'carillon-raw-'))
  path = join(folder, 'deeper', 'submits.raw')
})

afterEach(() => rmSync(folder, { recursive: true }))

const fields = {
  destination_addr: '12125550199',
  source_addr: '12345',
  esm_class: 0x40,
  data_coding: 8,
  registered_delivery: 1,
}

function write(...ids: string[]) {
  const file = new RawFile(path)
  for (const id of ids) file.add(1_000, id, fields, Buffer.from('hi'), 0)
  file.flush()
  file.close()
}

const idsIn = () => [...readRawFile(path)].map((record) => record.smscId)

test('readRawFile returns all fields of all runs', () => {
  write('a1', 'a2')
  write('a3')
  expect(idsIn()).toEqual(['a1', 'a2', 'a3'])
  expect([...readRawFile(path)][0]).toEqual({
    time: 1_000,
    smscId: 'a1',
    destination: '12125550199',
    source: '12345',
    esmClass: 0x40,
    dataCoding: 8,
    registeredDelivery: 1,
    userMessageReference: 0,
    shortMessage: '6869',
  })
})

test('readRawFile returns no records for a missing file', () => {
  expect(idsIn()).toEqual([])
})

test('flush() writes the batch', () => {
  const file = new RawFile(path)
  file.add(1_000, 'a1', fields, Buffer.from('hi'), undefined)
  expect(idsIn()).toEqual([])
  file.flush()
  expect(idsIn()).toEqual(['a1'])
  expect(file.size).toBe(readFileSync(path).length)
  file.close()
})

test('readRawFile skips a line that is truncated at any octet, and returns later lines', () => {
  write('a1', 'a2')
  const whole = readFileSync(path)
  const lineLength = whole.length / 2
  for (let length = lineLength; length < whole.length; length++) {
    writeFileSync(path, whole)
    truncateSync(path, length)
    // a line without its line end is complete
    const complete = length === whole.length - 1 ? ['a1', 'a2'] : ['a1']
    expect(idsIn()).toEqual(complete)
    write('a3')
    expect(idsIn()).toEqual([...complete, 'a3'])
  }
})

test('readRawFile reads a large file', () => {
  const ids = Array.from({ length: 20_000 }, (_, index) => index.toString(16))
  write(...ids)
  expect(idsIn()).toEqual(ids)
})

describe('rotation', () => {
  test('readRawFile reads both files, and the batch is written to the new one', () => {
    const file = new RawFile(path, 100)
    for (const id of ['a1', 'a2', 'a3', 'a4']) {
      file.add(1_000, id, fields, Buffer.from('hi'), 0)
      if (file.isLarge) file.rotate()
      file.flush()
    }
    expect(idsIn()).toEqual(['a1', 'a2', 'a3', 'a4'])
    expect([...rawLines(path, 0)].map(smscIdOf)).toEqual(['a4'])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    file.rotate()
    expect(idsIn()).toEqual(['a4'])
    file.close()
  })

  test('a reader that has begun returns what there was, also if the file is rotated meanwhile', () => {
    const file = new RawFile(path)
    for (const id of ['a1', 'a2']) file.add(1_000, id, fields, Buffer.from('hi'), 0)
    file.flush()
    const reader = readRawFile(path)
    expect(reader.next().value?.smscId).toBe('a1')
    file.rotate()
    file.rotate()
    expect([...reader].map(({ smscId }) => smscId)).toEqual(['a2'])
    file.close()
  })

  test('a file is full at twice its size, including the batch', () => {
    const file = new RawFile(path, 100)
    let lines = 0
    for (; !file.isFull; lines++) file.add(1_000, 'a1', fields, Buffer.from('hi'), 0)
    file.flush()
    expect(file.size).toBeGreaterThanOrEqual(200)
    expect(file.size - file.size / lines).toBeLessThan(200)
    file.rotate()
    expect(file.isFull).toBe(false)
    file.close()
  })

  test('a file that was removed is replaced', () => {
    const file = new RawFile(path)
    rmSync(path)
    file.rotate()
    file.add(1_000, 'a1', fields, Buffer.from('hi'), 0)
    file.flush()
    expect(idsIn()).toEqual(['a1'])
    file.close()
  })

  test.each([
    ['before the new file has its name', 1],
    ['before the acknowledged ids of the former file are removed', 2],
  ])('after a kill %s, the next run owes the receipts of its own texts only', (_when, steps) => {
    const open = () => openSettledReceipts(`${path}.acknowledged`, path, (record) => record.smscId)
    write('a1', 'a2', 'a3')
    const first = open()
    for (const id of ['a1', 'a2', 'a3']) first.file.add(id)
    first.file.flush()
    open().file.close()
    renameSync(path, `${path}.1`)
    if (steps > 1) writeFileSync(path, '')
    new RawFile(path).close()
    expect(open().owed).toEqual([])
    write('a4')
    expect(open().owed).toEqual(['a4'])
    expect(idsIn()).toEqual(['a1', 'a2', 'a3', 'a4'])
  })
})

describe('SettledReceipts', () => {
  const open = () => openSettledReceipts(`${path}.acknowledged`, path, (record) => record.smscId)
  const settledLines = () => readFileSync(`${path}.acknowledged`, 'latin1').trimEnd().split('\n')

  function settle(file: SettledReceipts, ...ids: string[]) {
    for (const id of ids) file.add(id)
    file.flush()
  }

  test('returns the receipts of accepted, unacknowledged texts as owed in each run', () => {
    write('a1', 'a2', 'a3')
    const first = open()
    expect(first).toMatchObject({ owed: ['a1', 'a2', 'a3'], lastId: 0xa3 })
    settle(first.file, 'a1', 'a3')
    write('a4')
    const second = open()
    expect(second).toMatchObject({ owed: ['a2', 'a4'], lastId: 0xa4 })
    settle(second.file, 'a4')
    // a truncated line settles no receipt, so that receipt may be sent twice
    appendFileSync(`${path}.acknowledged`, 'a2')
    const third = open()
    expect(third.owed).toEqual(['a2'])
    settle(third.file, 'a2')
    expect(open().owed).toEqual([])
    first.file.close()
    second.file.close()
    third.file.close()
  })

  test('has one line if no receipt is owed at the start', () => {
    write('a1', 'a2')
    const first = open()
    settle(first.file, 'a1', 'a2')
    first.file.close()
    const second = open()
    expect(second.owed).toEqual([])
    expect(settledLines()).toEqual([String(readFileSync(path).length)])
    second.file.close()
    write('a3')
    expect(open().owed).toEqual(['a3'])
  })

  test('compacts the file at run time when it is large', () => {
    write('a1')
    const { file } = open()
    settle(file, 'a1')
    file.compact(500)
    expect(settledLines()).toEqual(['0', 'a1'])
    settle(file, ...Array.from({ length: 100_000 }, (_, index) => index.toString(16)))
    file.compact(500)
    expect(settledLines()).toEqual(['500'])
    settle(file, 'a9')
    expect(settledLines()).toEqual(['500', 'a9'])
    file.close()
  })
})
