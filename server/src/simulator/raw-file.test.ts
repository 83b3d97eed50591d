import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RawFile, readRawFile } from './raw-file.ts'
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

test('what was written is read back, field by field, over several openings', () => {
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

test('a missing file is an empty one', () => {
  expect(idsIn()).toEqual([])
})

test('a batch is in the file when flush returns, and not before', () => {
  const file = new RawFile(path)
  file.add(1_000, 'a1', fields, Buffer.from('hi'), undefined)
  expect(idsIn()).toEqual([])
  file.flush()
  expect(idsIn()).toEqual(['a1'])
  expect(file.size).toBe(readFileSync(path).length)
  file.close()
})

test('a line torn at any octet is not read, and spoils nothing that follows', () => {
  write('a1', 'a2')
  const whole = readFileSync(path)
  const lineLength = whole.length / 2
  for (let length = lineLength; length < whole.length; length++) {
    writeFileSync(path, whole)
    truncateSync(path, length)
    // Without its line end the line is whole all the same.
    const survivors = length === whole.length - 1 ? ['a1', 'a2'] : ['a1']
    expect(idsIn()).toEqual(survivors)
    write('a3')
    expect(idsIn()).toEqual([...survivors, 'a3'])
  }
})

test('a file of many chunks is read line by line', () => {
  const ids = Array.from({ length: 20_000 }, (_, index) => index.toString(16))
  write(...ids)
  expect(idsIn()).toEqual(ids)
})

describe('the answered file', () => {
  const open = () => openSettledReceipts(`${path}.answered`, path, (record) => record.smscId)
  const answeredLines = () => readFileSync(`${path}.answered`, 'latin1').trimEnd().split('\n')

  function answer(file: SettledReceipts, ...ids: string[]) {
    for (const id of ids) file.add(id)
    file.flush()
  }

  test('owed is what was accepted and not answered, run after run', () => {
    write('a1', 'a2', 'a3')
    const first = open()
    expect(first).toMatchObject({ owed: ['a1', 'a2', 'a3'], lastId: 0xa3 })
    answer(first.file, 'a1', 'a3')
    write('a4')
    const second = open()
    expect(second).toMatchObject({ owed: ['a2', 'a4'], lastId: 0xa4 })
    answer(second.file, 'a4')
    // A torn line answers nothing: that receipt may come twice.
    appendFileSync(`${path}.answered`, 'a2')
    const third = open()
    expect(third.owed).toEqual(['a2'])
    answer(third.file, 'a2')
    expect(open().owed).toEqual([])
    first.file.close()
    second.file.close()
    third.file.close()
  })

  test('is one line again when nothing is owed at the start', () => {
    write('a1', 'a2')
    const first = open()
    answer(first.file, 'a1', 'a2')
    first.file.close()
    const second = open()
    expect(second.owed).toEqual([])
    expect(answeredLines()).toEqual([String(readFileSync(path).length)])
    second.file.close()
    write('a3')
    expect(open().owed).toEqual(['a3'])
  })

  test('starts over while it runs once that saves something, and only then', () => {
    write('a1')
    const { file } = open()
    answer(file, 'a1')
    file.compact(500)
    expect(answeredLines()).toEqual(['0', 'a1'])
    answer(file, ...Array.from({ length: 100_000 }, (_, index) => index.toString(16)))
    file.compact(500)
    expect(answeredLines()).toEqual(['500'])
    answer(file, 'a9')
    expect(answeredLines()).toEqual(['500', 'a9'])
    file.close()
  })
})
