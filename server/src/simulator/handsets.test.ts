import { expect, test } from 'vitest'
import { fateOf } from './fates.ts'
import { Handsets } from './handsets.ts'
import { hexId, idBase, spellId } from './smsc-id.ts'

const message = (destination_addr: string, text: string) => ({
  smscId: '1a',
  sar: undefined,
  destination_addr,
  source_addr: '12345',
  data_coding: 0,
  esm_class: 0,
  text: Buffer.from(text),
  at: 0,
})

test('the first read of a handset returns its texts among the last 8,192 messages', () => {
  const handsets = new Handsets()
  handsets.recordReceived(message('12125550150', 'too old'))
  for (let i = 0; i < 8_190; i++) handsets.recordReceived(message('12125550151', 'other'))
  handsets.recordReceived(message('12125550150', 'first'))
  handsets.recordReceived(message('2125550150', 'second'))
  expect(handsets.textsOf(2125550150).map((text) => text.parts.join(''))).toEqual(['first', 'second'])
})

test('a followed handset has its last 50 texts', () => {
  const handsets = new Handsets()
  handsets.recordSent(2125550150, '12345', 'hello', 1, 0)
  for (let i = 0; i < 60; i++) handsets.recordReceived(message('12125550150', `text ${i}`))
  const texts = handsets.textsOf(2125550150)
  expect(texts).toHaveLength(50)
  expect(texts.at(-1)?.parts).toEqual(['text 59'])
})

test('at most 10,000 handsets are followed; the least recently used one is dropped', () => {
  const handsets = new Handsets()
  for (let i = 0; i < 10_000; i++) handsets.recordSent(2_126_000_000 + i, '12345', 'hello', 1, 0)
  handsets.textsOf(2_126_000_000)
  handsets.recordSent(2_126_999_999, '12345', 'hello', 1, 0)
  expect(handsets.textsOf(2_126_000_000)).toHaveLength(1)
  expect(handsets.textsOf(2_126_000_001)).toHaveLength(0)
})

test.each([
  ['12125550101', 'hard'],
  ['2125550102', 'soft'],
  ['+12125550103', 'none'],
  ['12125550111', undefined],
  ['12125551101', undefined],
  ['12125560101', undefined],
  ['50101', undefined],
])('the digits of %s choose the outcome %s', (destination, outcome) => {
  expect(fateOf(destination)?.outcome).toBe(outcome)
})

test('the receipt of 555-0108 is delayed by 30 s', () => {
  expect(fateOf('12125550108')?.receiptDelayMs).toBe(30_000)
})

test('hexId equals toString(16), and a later start has higher ids', () => {
  const start = Date.UTC(2026, 10, 21)
  for (const id of [1, 0xffffff, 0x1000000, idBase(start), idBase(start) + 1_000_000]) {
    expect(hexId(id)).toBe(id.toString(16))
    expect(spellId(hexId(id), 'decimal')).toBe(String(id))
  }
  expect(hexId(idBase(Date.UTC(2042, 0, 1)))).toHaveLength(12)
  expect(idBase(start + 1_000)).toBeGreaterThan(idBase(start) + 300_000)
})
