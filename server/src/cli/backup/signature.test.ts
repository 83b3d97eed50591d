import { readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { beforeAll, expect, test } from 'vitest'
import { asStream, encodeUntagged, otherKey, secretKey, useSampleBackup } from '../../../test/backups.ts'
import type { Secret } from '../../config/secret.ts'
import { encodeBackup } from './backup-file.ts'
import { type Frame, makeFrame, readUntaggedFrames } from './frames.ts'
import { readBackup } from './read-backup.ts'
import { writeBackup } from './write-backup.ts'

// Files that were changed after they were written, by accident or not. All are rejected before the database is opened.

const nowhere = 'postgresql://carillon:x@127.0.0.1:1/nothing'
const sample = useSampleBackup()
let valid: Buffer
let other: Buffer

beforeAll(async () => {
  await writeBackup(sample.origin.url, sample.path('other'), secretKey)
  valid = readFileSync(sample.file)
  other = readFileSync(sample.path('other'))
})

/** Returns the positions of the frames in a file: where each begins, and where the last one ends. */
function boundariesOf(bytes: Buffer): number[] {
  const boundaries = ['carillon backup 2\n'.length + 64]
  for (let at = boundaries[0] as number; at < bytes.length; ) {
    at += 5 + bytes.readUInt32BE(at + 1) + 32
    boundaries.push(at)
  }
  return boundaries
}

/** Restores bytes without a database, so that the error can only come from the check of the file. */
async function check(bytes: Buffer, options: { unsigned?: boolean; key?: Secret | undefined } = {}) {
  writeFileSync(sample.path('changed'), bytes)
  const key = 'key' in options ? options.key : secretKey
  return readBackup({
    databaseUrl: nowhere,
    file: sample.path('changed'),
    secretKey: key,
    unsigned: options.unsigned,
  }).then(
    () => 'restored',
    (error) => ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED' ? 'accepted' : String(error.message)),
  )
}

/** Returns the first and the last frame of each kind. */
function oneOfEachKind(): number[] {
  const kinds = sample.frames.map(({ kind }) => kind)
  return [...new Set(kinds.flatMap((kind) => [kinds.indexOf(kind), kinds.lastIndexOf(kind)]))]
}

const damaged =
  /^.*changed cannot be restored: it (was changed or damaged|ends too early|is signed with another|is not a backup)/

test('a changed byte in any part of the file is found before the database is opened', async () => {
  expect(await check(valid)).toBe('accepted')
  const boundaries = boundariesOf(valid)
  // the letter, the length, the first and last byte of the content, the first and last byte of the tag
  const inFrames = oneOfEachKind().flatMap((i) => {
    const [at, end] = [boundaries[i] as number, boundaries[i + 1] as number]
    return [at, at + 1, at + 4, at + 5, end - 33, end - 32, end - 1]
  })
  for (const at of [0, 17, 18, 49, 50, 81, ...inFrames]) {
    for (const bit of [0x01, 0x80]) {
      const bytes = Buffer.from(valid)
      bytes.writeUInt8((bytes[at] as number) ^ bit, at)
      expect(await check(bytes), `byte ${at}, bit ${bit}`).toMatch(damaged)
    }
  }
})

test('missing, repeated, exchanged, foreign and appended frames are found before the database is opened', async () => {
  const boundaries = boundariesOf(valid)
  const part = (i: number, bytes = valid) => bytes.subarray(boundaries[i], boundaries[i + 1])
  const start = valid.subarray(0, boundaries[0])
  const parts = boundaries.slice(0, -1).map((_, i) => part(i))
  expect(boundariesOf(other)).toHaveLength(boundaries.length)
  for (const at of boundaries.slice(0, -1)) {
    expect(await check(valid.subarray(0, at))).toMatch(damaged)
  }
  for (const i of oneOfEachKind()) {
    const repeated = [start, ...parts.slice(0, i + 1), ...parts.slice(i)]
    const missing = [start, ...parts.slice(0, i), ...parts.slice(i + 1)]
    const otherBoundaries = boundariesOf(other)
    const foreign = other.subarray(otherBoundaries[i], otherBoundaries[i + 1])
    const spliced = [start, ...parts.slice(0, i), foreign, ...parts.slice(i + 1)]
    const exchanged = [start, ...parts.slice(0, i), ...parts.slice(i, i + 2).reverse(), ...parts.slice(i + 2)]
    for (const changed of [repeated, missing, spliced, ...(i + 1 < parts.length ? [exchanged] : [])])
      expect(await check(Buffer.concat(changed)), `frame ${i}`).toMatch(damaged)
  }
  for (const bytes of [valid.subarray(0, -1), valid.subarray(0, -40), valid.subarray(0, (boundaries[1] as number) + 3)])
    expect(await check(bytes)).toMatch(damaged)
  expect(await check(Buffer.concat([valid, Buffer.from('x')]))).toMatch(damaged)
  expect(await check(Buffer.concat([valid, parts.at(-1) as Buffer]))).toMatch(damaged)
  expect(await check(Buffer.concat([valid, other]))).toMatch(damaged)
})

test('another key, no key and no signature are rejected with a remedy, and accepted with --unsigned', async () => {
  expect(await check(valid, { key: otherKey })).toMatch(/signed with another secret key. Copy secret.key .*--unsigned/)
  expect(await check(valid, { key: undefined })).toMatch(/no secret key to check its signature.*--unsigned/)
  expect(await check(valid, { key: otherKey, unsigned: true })).toBe('accepted')
  expect(await check(valid, { key: undefined, unsigned: true })).toBe('accepted')
  const untagged = gzipSync(encodeUntagged(sample.frames))
  expect(await check(untagged)).toMatch(/it is not signed, .* add --unsigned/)
  expect(await check(untagged, { unsigned: true })).toBe('accepted')
  // damage is found without a key, too
  for (const bytes of [valid, untagged]) {
    const broken = Buffer.from(bytes)
    // inside the first frame of signed bytes, because a tag cannot be checked without its key
    const at = bytes === valid ? (boundariesOf(valid)[1] as number) - 100 : bytes.length >> 1
    broken.writeUInt8((broken[at] as number) ^ 4, at)
    // a changed byte can also change the words with which a file begins
    expect(await check(broken, { key: otherKey, unsigned: true })).toMatch(/damaged|is not a backup/)
    expect(await check(bytes.subarray(0, -100), { key: otherKey, unsigned: true })).toMatch(/damaged|too early/)
  }
  // a file of this installation that was changed is not a foreign one
  const changed = Buffer.from(valid)
  changed.writeUInt8(0, valid.length - 1)
  expect(await check(changed, { unsigned: true })).toMatch(damaged)
})

test('other files, lengths and decompressed sizes that a frame cannot have are rejected without reading them', async () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('hello'),
    gzipSync('hello world, this is a text'),
    valid.subarray(0, 40),
  ])
    expect(await check(bytes, { unsigned: true })).toMatch(
      /is not a backup of Carillon|ends too early|ends inside a frame/,
    )
  const at = boundariesOf(valid)[0] as number
  for (const length of [0xffffffff, 2 ** 31, (1 << 20) + 2_000]) {
    const bytes = Buffer.from(valid)
    bytes.writeUInt32BE(length, at + 1)
    expect(await check(bytes, { key: otherKey, unsigned: true })).toMatch(damaged)
    const head = Buffer.from('H0000')
    head.writeUInt32BE(length, 1)
    expect(await check(gzipSync(head), { unsigned: true })).toMatch(/is not a backup of Carillon/)
  }
  const afterEnd = gzipSync(encodeUntagged([...sample.frames, sample.frames[0] as Frame]))
  expect(await check(afterEnd, { unsigned: true })).toMatch(/frames follow its end/)
  const bomb = gzipSync(Buffer.alloc(64 << 20))
  const head = Buffer.from('H0000')
  head.writeUInt32BE(bomb.length, 1)
  const bytes = Buffer.concat([valid.subarray(0, at), head, bomb, Buffer.alloc(32)])
  expect(await check(bytes, { key: otherKey, unsigned: true })).toMatch(damaged)
  const nested = makeFrame('H', Buffer.from('['.repeat(1 << 20)))
  writeFileSync(
    sample.path('nested'),
    await Array.fromAsync(encodeBackup(asStream([nested]), secretKey)).then(Buffer.concat),
  )
  expect(await readBackup({ databaseUrl: nowhere, file: sample.path('nested'), secretKey }).catch(String)).toMatch(
    /cannot be restored/,
  )
  await expect(readBackup({ databaseUrl: nowhere, file: dirname(sample.file), secretKey })).rejects.toThrow(
    'it is not a file',
  )
})

test('frames of format 1 are decoded as they were encoded, for every division of the stream into chunks', async () => {
  const bytes = encodeUntagged([makeFrame('H', { a: 'é' }), makeFrame('D', Buffer.from('1\t2\n')), makeFrame('Z', {})])
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const found: string[] = []
    const source = Readable.from([bytes.subarray(0, cut), bytes.subarray(cut)])
    for await (const { kind, content } of readUntaggedFrames(source)) found.push(kind + content)
    expect(found).toEqual(['H{"a":"é"}', 'D1\t2\n', 'Z{}'])
  }
})
