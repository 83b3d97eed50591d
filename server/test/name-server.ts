import { createSocket } from 'node:dgram'
import type { AddressInfo } from 'node:net'

/** The addresses of a name; null: no response, `unknown`: the name does not exist. */
export type NameAnswer = { 4?: string[] | null; 6?: string[] | null } | 'unknown' | null

export type NameServer = {
  /** Address and port. */
  address: string
  /** The names that were queried, one item per query. */
  queries: { name: string; family: 4 | 6 }[]
  close(): void
}

const typeA = 1
const typeAAAA = 28

/** Starts a DNS server (RFC 1035) on loopback that responds with `answer`. */
export async function startNameServer(answer: (name: string) => NameAnswer): Promise<NameServer> {
  const socket = createSocket('udp4')
  const queries: NameServer['queries'] = []
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = readQuestion(query)
    const family = type === typeAAAA ? 6 : 4
    queries.push({ name, family })
    const answers = answer(name)
    if (answers === null) return
    const addresses = answers === 'unknown' ? [] : answers[family]
    if (addresses === null) return
    socket.send(responseTo(query.subarray(0, end), type, addresses ?? [], answers === 'unknown'), port, address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return { address: `127.0.0.1:${(socket.address() as AddressInfo).port}`, queries, close: () => socket.close() }
}

function readQuestion(query: Buffer) {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function responseTo(question: Buffer, type: number, addresses: string[], isUnknown: boolean): Buffer {
  const header = Buffer.from(question)
  header.writeUInt16BE(isUnknown ? 0x8183 : 0x8180, 2)
  header.writeUInt16BE(addresses.length, 6)
  header.writeUInt16BE(0, 8)
  header.writeUInt16BE(0, 10)
  const records = addresses.map((address) => {
    const bytes = type === typeA ? Buffer.from(address.split('.').map(Number)) : bytesOf(address)
    // a pointer to the name of the question, the type, the class IN, a time to live of 0
    const record = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, bytes.length])
    return Buffer.concat([record, bytes])
  })
  return Buffer.concat([header, ...records])
}

/** Returns the bytes of an IPv6 address with at most one `::`. */
function bytesOf(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const missing = 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array.from({ length: missing }, () => '0'), ...groups(tail)]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}
