import { randomBytes } from 'node:crypto'
import dns from 'node:dns'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type S3Request, startS3 } from '../../test/s3-server.ts'
import { Secret } from '../config/secret.ts'
import { type FilePart, lastPartsNeeded, sizeOf } from './file-store.ts'
import { S3Client } from './s3-client.ts'
import { S3Store } from './s3-store.ts'

// A bucket of npm s3rver, which verifies signatures, behind a front that injects faults and applies the rules for parts.

const partBytes = 100_000
const folder = 'momt_reports/1/2'
let s3: Awaited<ReturnType<typeof startS3>>

beforeEach(async () => {
  s3 = await startS3({ minPartBytes: partBytes })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await s3.close()
})

/** A store of a process that just began. */
const makeStore = (change: Partial<(typeof s3)['location']> = {}) => {
  const location = { ...s3.location, ...change }
  return new S3Store(new S3Client(location), location)
}

/** A file whose list of parts is committed after each step, as a report's is. */
function makeFile(store = makeStore(), parts: FilePart[] = []) {
  const file = {
    parts,
    async append(bytes: number, store = makeStore()): Promise<Buffer> {
      const content = randomBytes(bytes)
      const chunks = (async function* () {
        for (let at = 0; at < bytes; at += 30_000) yield content.subarray(at, at + 30_000)
      })()
      const { replaced, added } = await store.append(folder, file.parts.slice(-lastPartsNeeded), chunks)
      file.parts = [...file.parts.slice(0, file.parts.length - replaced), ...added]
      return content
    },
    async finish(store = makeStore()) {
      file.parts = await store.finish(folder, file.parts)
    },
    async content(): Promise<Buffer> {
      const size = sizeOf(file.parts)
      expect(await store.has(folder, file.parts)).toBe(true)
      return size === 0 ? Buffer.alloc(0) : buffer(await store.read(folder, file.parts, 0, size - 1))
    },
  }
  return file
}

const isPart = (n: number) => (req: S3Request) => req.method === 'PUT' && req.query.get('partNumber') === String(n)

test.each([
  { slices: [] },
  { slices: [10] },
  { slices: [10_000, 20_000] },
  { slices: [partBytes] },
  { slices: [60_000, 60_000, 1, 140_000, 180_000] },
  { slices: [partBytes * 2 + 5] },
])('a file of slices of $slices bytes is one object with their content', async ({ slices }) => {
  const file = makeFile()
  const contents: Buffer[] = []
  for (const bytes of slices) {
    contents.push(await file.append(bytes))
    expect(sizeOf(file.parts)).toBe(contents.reduce((sum, { length }) => sum + length, 0))
  }
  await file.finish()
  const expected = Buffer.concat(contents)
  expect((await file.content()).equals(expected)).toBe(true)
  expect(s3.objects()).toEqual({ [`carillon/${folder}/${file.parts[0]?.name}`]: expected.length })
  expect(s3.uploads.size).toBe(0)
})

test('with parts of five MiB, the smallest that AWS takes', async () => {
  await s3.close()
  s3 = await startS3()
  const file = makeFile()
  const contents = [await file.append(6_000_000, makeStore({ partBytes: 6_000_000 })), await file.append(6_500_000)]
  await file.finish()
  expect((await file.content()).equals(Buffer.concat(contents))).toBe(true)
})

test('hundreds of small slices need few pieces', async () => {
  const file = makeFile()
  const store = makeStore()
  const contents: Buffer[] = []
  let most = 0
  for (let n = 0; n < 300; n++) {
    contents.push(await file.append(n % 7 === 0 ? 1_500 : 10, store))
    most = Math.max(most, file.parts.length)
  }
  expect(most).toBeLessThanOrEqual(41)
  await file.finish()
  expect((await file.content()).equals(Buffer.concat(contents))).toBe(true)
})

test('ranges of a file are read', async () => {
  const file = makeFile()
  const content = await file.append(partBytes + 1_000)
  await file.finish()
  const store = makeStore()
  const read = async (from: number, to: number) => buffer(await store.read(folder, file.parts, from, to))
  for (const [from, to] of [
    [0, 4],
    [partBytes - 10, partBytes + 10],
    [content.length - 5, content.length - 1],
  ] as const)
    expect((await read(from, to)).equals(content.subarray(from, to + 1)), `${from}-${to}`).toBe(true)
})

describe('a process that is killed', () => {
  test('between an upload and its commit loses nothing, and the file has the later content', async () => {
    const file = makeFile()
    const first = await file.append(60_000)
    // the parts of these are not committed: their process died
    for (const bytes of [1_000, 80_000]) await makeFile(makeStore(), file.parts).append(bytes)
    const second = await file.append(50_000)
    const third = await file.append(partBytes)
    await file.finish()
    expect((await file.content()).equals(Buffer.concat([first, second, third]))).toBe(true)
    expect(Object.keys(s3.objects())).toEqual([expect.stringContaining('/file-')])
    expect(s3.uploads.size).toBe(0)
  })

  test.each([1_000, partBytes + 1_000])(
    'after finishing a file of %i bytes, before its commit, loses nothing',
    async (bytes) => {
      const file = makeFile()
      const content = await file.append(bytes)
      await makeStore().finish(folder, file.parts)
      await file.finish()
      expect((await file.content()).equals(content)).toBe(true)
      await file.finish()
      expect((await file.content()).equals(content)).toBe(true)
    },
  )

  test('while the store is joining the parts loses nothing', async () => {
    const file = makeFile()
    const content = await file.append(partBytes + 1_000)
    let drops = 0
    s3.fault = ({ method, query }) =>
      method === 'POST' && query.has('uploadId') && drops++ === 0 ? { drop: 'after' } : undefined
    await file.finish()
    expect(drops).toBeGreaterThan(0)
    expect((await file.content()).equals(content)).toBe(true)
  })
})

describe('a request', () => {
  test.each([
    ['a 503', { status: 503, code: 'SlowDown' }],
    ['a dropped connection', { drop: 'before' }],
    ['a lost response', { drop: 'after' }],
    ['a slow response', { delayMs: 500 }],
  ] as const)('is repeated after %s at part 3, and the file is whole', async (_name, fault) => {
    let faults = 0
    s3.fault = (req) => (isPart(3)(req) && faults++ < 2 ? fault : undefined)
    const file = makeFile()
    const content = await file.append(partBytes * 4)
    await file.finish()
    expect(faults).toBeGreaterThan(0)
    expect((await file.content()).equals(content)).toBe(true)
  })

  test('that fails again and again rejects, and the slice can be repeated', async () => {
    const file = makeFile()
    const first = await file.append(partBytes + 10)
    s3.fault = (req) => (isPart(3)(req) ? { status: 503, code: 'SlowDown' } : undefined)
    await expect(file.append(partBytes * 3)).rejects.toMatchObject({ code: 'SlowDown', isPermanent: false })
    s3.fault = () => undefined
    const second = await file.append(partBytes * 3)
    await file.finish()
    expect((await file.content()).equals(Buffer.concat([first, second]))).toBe(true)
    expect(s3.uploads.size).toBe(0)
  })

  test.each([
    [{ secret: new Secret('another') }, 'the file store rejected the key (SignatureDoesNotMatch)'],
    [{ keyId: 'another' }, 'the file store rejected the key (InvalidAccessKeyId)'],
    [{ bucket: 'another' }, 'the bucket of the files does not exist (NoSuchBucket)'],
  ])('with wrong settings rejects at once', async (change, message) => {
    for (const bytes of [10, partBytes]) {
      const appended = makeFile().append(bytes, makeStore(change))
      await expect(appended).rejects.toMatchObject({ message, isPermanent: true })
    }
    expect(s3.requests).toHaveLength(2)
  })

  test.each([
    [507, 'XMinioStorageFull', 'is full'],
    [400, 'QuotaExceeded', 'is full'],
    [403, 'AccessDenied', 'denied access'],
    [400, 'AuthorizationHeaderMalformed', 'region'],
  ])('with the response %i %s rejects at once', async (status, code, words) => {
    s3.fault = () => ({ status, code })
    await expect(makeFile().append(10)).rejects.toMatchObject({
      message: expect.stringContaining(words),
      isPermanent: true,
    })
    expect(s3.requests).toHaveLength(1)
  })

  test('to a server that is gone rejects with its reason', async () => {
    const store = makeStore({ endpoint: 'http://127.0.0.1:9' })
    await expect(makeFile().append(10, store)).rejects.toMatchObject({ code: 'ECONNREFUSED', isPermanent: false })
  })
})

describe('a download', () => {
  test('that breaks off is continued where it was', async () => {
    const file = makeFile()
    const content = await file.append(partBytes + 1_000)
    await file.finish()
    let drops = 0
    s3.fault = ({ method, key }) =>
      method === 'GET' && key.includes('/file-') && drops++ < 3 ? { drop: 20_000 } : undefined
    expect((await file.content()).equals(content)).toBe(true)
    expect(drops).toBe(4)
  })

  test('that nobody reads any more closes its connection', async () => {
    const file = makeFile()
    await file.append(partBytes * 3)
    await file.finish()
    const stream = await makeStore().read(folder, file.parts, 0, partBytes * 3 - 1)
    for await (const _chunk of stream) break
    expect(stream.destroyed).toBe(true)
  })
})

test('the name of the bucket can be in the host name, which the signature covers', async () => {
  const { port } = new URL(s3.location.endpoint)
  const lookup = dns.lookup as (...given: unknown[]) => void
  // names below localhost lead to this machine (RFC 6761), but not every resolver knows that
  vi.spyOn(dns, 'lookup').mockImplementation(((host: string, ...rest: unknown[]) =>
    lookup(host === 'files.s3.localhost' ? '127.0.0.1' : host, ...rest)) as never)
  const store = makeStore({ endpoint: `http://s3.localhost:${port}`, virtualHost: true })
  const file = makeFile(store)
  const content = await file.append(partBytes + 10, store)
  await file.finish(store)
  expect((await file.content()).equals(content)).toBe(true)
  expect(s3.requests.every(({ host }) => host.startsWith('files.s3.localhost'))).toBe(true)
})

test('deleting removes the file, its pieces and its uploads, and nothing of other folders', async () => {
  const file = makeFile()
  await file.append(partBytes + 1_000)
  const other = makeStore()
  await other.append('momt_reports/1/20', [], makeContent('other'))
  await makeStore().delete(folder)
  expect(s3.uploads.size).toBe(0)
  expect(Object.keys(s3.objects())).toEqual([expect.stringContaining('carillon/momt_reports/1/20/piece-')])
  await makeStore().delete(folder)
})

async function* makeContent(text: string) {
  yield Buffer.from(text)
}
