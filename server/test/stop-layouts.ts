import { type Octets, tlv } from './deliveries.ts'

// A STOP as carriers, aggregators and SMSC products write it. The addresses, encodings, TLVs and lengths are facts of the
// SMPP specification and of vendors' pages; numbers and values are invented.

const ucs2 = (text: string) => Buffer.from(text, 'utf16le').swap16()
const littleEndian = (text: string) => Buffer.from(text, 'utf16le')
const headed = (header: string, text: string | Buffer) =>
  Buffer.concat([Buffer.from(header, 'hex'), Buffer.from(text as string)])

const reference = tlv('0204', Buffer.from([0, 7]))
const carrier = tlv('1401', '310410')
const network = tlv('0423', Buffer.from([3, 0, 0]))
const payload = (text: string | Buffer) => ({ text: '', after: tlv('0424', text) })

export const stopLayouts: [layout: string, octets: Octets][] = [
  ['appendix of the specification', { text: 'STOP' }],
  ['lower case with a full stop', { text: 'stop.' }],
  ['a line break behind the word', { text: 'Stop\r\n' }],
  ['a NUL behind the word, counted', { text: 'STOP\0' }],
  ['padded with blanks', { text: 'STOP'.padEnd(160) }],
  ['a quotation mark', { text: '"STOP"' }],
  ['IA5', { text: 'STOP', dataCoding: 1 }],
  ['Latin-1', { text: 'STOP', dataCoding: 3 }],
  ['French in Latin-1', { text: Buffer.from('ARRÊT', 'latin1'), dataCoding: 3 }],
  ['French in UTF-8 as Latin-1', { text: 'ARRÊT', dataCoding: 3 }],
  ['8-bit binary', { text: 'STOP', dataCoding: 4 }],
  ['octets, unspecified', { text: 'STOP', dataCoding: 2 }],
  ['message class 1 of the handset scheme', { text: 'STOP', dataCoding: 0xf1 }],
  ['8-bit data of the handset scheme', { text: 'STOP', dataCoding: 0xf5 }],
  ['UCS-2', { text: ucs2('STOP'), dataCoding: 8 }],
  ['UCS-2 with a byte order mark', { text: ucs2('\ufeffSTOP'), dataCoding: 8 }],
  ['UCS-2 of the handset scheme', { text: ucs2('STOP'), dataCoding: 0x18 }],
  ['UCS-2 as the default alphabet', { text: ucs2('STOP') }],
  ['UCS-2 as Latin-1', { text: ucs2('Stop'), dataCoding: 3 }],
  ['little-endian UCS-2', { text: littleEndian('STOP'), dataCoding: 8 }],
  ['little-endian UCS-2 as the default alphabet', { text: littleEndian('STOP') }],
  ['ASCII as UCS-2', { text: 'STOP', dataCoding: 8 }],
  ['ASCII of an odd length as UCS-2', { text: 'STOP!', dataCoding: 8 }],
  ['packed septets', { text: Buffer.from('53ea130a', 'hex') }],
  ['an emoji in UCS-2', { text: ucs2('STOP 🛑'), dataCoding: 8 }],
  ['the payload of a long text', payload('STOP')],
  ['a payload in UCS-2', { ...payload(ucs2('STOP')), dataCoding: 8 }],
  ['a payload after other TLVs', { text: '', after: reference + carrier + tlv('0424', 'STOP') }],
  ['a header of one part', { text: headed('0500030a0101', 'STOP'), esmClass: 0x40 }],
  ['a header of ports', { text: headed('0605040b8423f0', 'STOP'), esmClass: 0x40 }],
  ['a header bit without a header', { text: 'STOP', esmClass: 0x40 }],
  ['sar fields of one part', { text: 'STOP', after: `020c00020009020e000101020f000101` }],
  ['store and forward', { text: 'STOP', esmClass: 0x03 }],
  ['a manual acknowledgment of the handset', { text: 'STOP', esmClass: 0x10 }],
  ['a reply path', { text: 'STOP', esmClass: 0x80 }],
  ['TLVs of the carrier and the network', { text: 'STOP', after: carrier + network }],
  ['an id of the SMSC', { text: 'STOP', after: tlv('001e', '6f1c44aa\0') }],
  ['a source with 00', { text: 'STOP', source: '0012065560001' }],
  ['a source with +', { text: 'STOP', source: '+12065560001' }],
  ['a national source', { text: 'STOP', source: '2065560001' }],
  ['a source padded with blanks', { text: 'STOP', source: '12065560001   ' }],
  ['a destination with a country code', { text: 'STOP', destination: '155123' }],
  ['a destination with a zero', { text: 'STOP', destination: '055123' }],
  ['no destination', { text: 'STOP', destination: '' }],
]
