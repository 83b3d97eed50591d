import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { UploadSpace, UploadSpool } from './upload-spool.ts'

let folder: string
let disk: { free: number; size: number }
let faults: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'carillon-spool-'))
  disk = { free: 1e12, size: 1e12 }
  faults = 0
})
afterEach(() => rm(folder, { recursive: true }))

const makeSpace = (bytes: number) =>
  new UploadSpace(
    join(folder, 'uploads'),
    bytes,
    () => faults++,
    async () => disk,
  )
const block = (length: number, fill = 'x') => fill.repeat(length)

/** Fills the spool with blocks, and returns the error or undefined. */
const fill = (spool: UploadSpool, ...blocks: string[]) =>
  spool
    .fill(
      (async function* () {
        yield* blocks
      })(),
    )
    .catch((error) => error)

async function contentOf(spool: UploadSpool): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of spool.read()) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('rows are read in their order, from memory and from a file without a name', async () => {
  const space = makeSpace(10_000_000)
  const small = new UploadSpool(space, 1)
  await fill(small, block(500_000, 'é'))
  expect(await contentOf(small)).toBe(block(500_000, 'é'))
  expect(await readdir(folder)).toEqual(['uploads'])
  const large = new UploadSpool(space, 1)
  const blocks = [block(700_000, 'a'), block(700_000, 'b'), block(700_000, 'c')]
  await fill(large, ...blocks)
  expect(large.size).toBe(2_100_000)
  expect(await contentOf(large)).toBe(blocks.join(''))
  expect(await readdir(join(folder, 'uploads'))).toEqual([])
  await Promise.all([small.close(), large.close()])
})

test('an account gets half of the space, a larger file is a 413, and closed uploads free theirs', async () => {
  const space = makeSpace(1_000)
  const [first, second, third] = [new UploadSpool(space, 1), new UploadSpool(space, 1), new UploadSpool(space, 2)]
  expect(await fill(first, block(300))).toBeUndefined()
  expect(await fill(second, block(201))).toMatchObject({ status: 503, code: 'upload_space_full', retryAfterS: 60 })
  expect(await fill(third, block(300))).toBeUndefined()
  await first.close()
  expect(await fill(second, block(300))).toBeUndefined()
  expect(await fill(new UploadSpool(makeSpace(1_000), 1), block(300), block(201))).toMatchObject({
    status: 413,
    code: 'upload_too_large',
  })
})

test('uploads leave a part of the disk free, and room for what the database writes', async () => {
  const space = makeSpace(100_000_000)
  const spool = new UploadSpool(space, 1)
  disk = { free: 52_000_000, size: 1_000_000_000 }
  expect(await fill(spool, block(1_000_000))).toBeUndefined()
  expect(await fill(spool, block(1_000_000))).toMatchObject({ status: 503, code: 'upload_space_full' })
  await spool.close()
  disk = { free: 1_001_000_000, size: 1e12 }
  const other = new UploadSpool(space, 2)
  expect(await fill(other, block(1_000_000))).toMatchObject({ status: 503, code: 'upload_space_full' })
  await other.close()
  expect(faults).toBe(2)
})
