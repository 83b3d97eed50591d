import { expect, test } from 'vitest'
import { readContent } from './content.ts'

const bigEndian = (text: string) => Buffer.from(text, 'utf16le').swap16()
const littleEndian = (text: string) => Buffer.from(text, 'utf16le')
const read = (octets: Buffer | string, dataCoding: number, esmClass = 0) =>
  readContent(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets, dataCoding, esmClass, 'gsm7')

test.each<[string, Buffer | string, number, string]>([
  ['UCS-2 with data_coding 0', bigEndian('STOP'), 0, 'STOP'],
  ['UCS-2 with data_coding 1', bigEndian('Stop!'), 1, 'Stop!'],
  ['UCS-2 with data_coding 3', bigEndian('ARRÊT'), 3, 'ARRÊT'],
  ['UCS-2 with data_coding 4', bigEndian('stop'), 4, 'stop'],
  ['UCS-2 with an odd octet behind it', Buffer.concat([bigEndian('STOP'), Buffer.from([0])]), 0, 'STOP'],
  ['a text in UCS-2 with data_coding 0', bigEndian('Bring a bag.'), 0, 'Bring a bag.'],
  ['little-endian UCS-2 with data_coding 8', littleEndian('STOP'), 8, 'STOP'],
  ['a little-endian text with data_coding 8', littleEndian('Bring a bag.'), 8, 'Bring a bag.'],
  ['little-endian UCS-2 with data_coding 0', littleEndian('HELP'), 0, 'HELP'],
  ['ASCII with data_coding 8', 'STOP', 8, 'STOP'],
  ['an ASCII text with data_coding 8', 'Bring a bag.', 8, 'Bring a bag.'],
  ['ASCII of an odd length with data_coding 8', 'Stop.', 8, 'Stop.'],
  ['packed septets with data_coding 0', Buffer.from('53ea130a', 'hex'), 0, 'STOP'],
  ['UTF-8 with data_coding 3', Buffer.from('ARRÊT'), 3, 'ARRÊT'],
])('%s is read', (_case, octets, dataCoding, content) => {
  const text = read(octets, dataCoding).content
  expect(text.replace(/[^\p{L}!. ]/gu, '')).toBe(content)
})

test.each<[string, Buffer | string, number, string]>([
  ['GSM-7', 'caf\u0005 @', 0, 'café ¡'],
  ['Chinese', bigEndian('停止发送'), 8, '停止发送'],
  ['an emoji', bigEndian('👍'), 8, '👍'],
  ['an at sign before a letter', '\0a', 0, '@a'],
  ['an empty text', '', 8, ''],
])('%s is read as its data_coding says', (_case, octets, dataCoding, content) => {
  expect(read(octets, dataCoding).content).toBe(content)
})

test('a concatenation header is no text, also without its bit in the esm_class', () => {
  const part = Buffer.concat([Buffer.from('0500030a0302', 'hex'), Buffer.from(' end')])
  const expected = { content: ' end', udh: part.subarray(0, 6), concat: { reference: 10, total: 3, sequence: 2 } }
  expect(read(part, 0, 0x40)).toEqual(expected)
  expect(read(part, 0)).toEqual(expected)
})
