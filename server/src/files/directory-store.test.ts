import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DirectoryStore } from './directory-store.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'carillon-store-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

async function* contentOf(...chunks: string[]) {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

test('a finished file has the parts that were committed, and ranges over several of them', async () => {
  const store = new DirectoryStore(directory)
  const { added: first } = await store.append('a/1', [], contentOf('one, ', 'two, '))
  await store.append('a/1', first, contentOf('lost'))
  const { added: second } = await store.append('a/1', first, contentOf('three'))
  const parts = await store.finish('a/1', [...first, ...second])
  expect(readdirSync(join(directory, 'a/1'))).toHaveLength(2)
  expect(await text(await store.read('a/1', parts, 0, 14))).toBe('one, two, three')
  expect(await text(await store.read('a/1', parts, 7, 11))).toBe('o, th')
  await expect(store.finish('a/1', [...parts, { name: 'gone.part', bytes: 4 }])).rejects.toMatchObject({
    isPermanent: true,
  })
})

test.each([
  ['ENOSPC', 'the disk of the files is full (ENOSPC)', true],
  ['EDQUOT', 'the disk quota of the files is used up (EDQUOT)', true],
  ['EIO', 'the directory of files cannot be used (EIO)', false],
])('%s rejects with a StoreError, and leaves nothing', async (code, message, isPermanent) => {
  const failing = (async function* () {
    yield Buffer.from('some bytes')
    throw Object.assign(new Error(`${code}: write`), { code, syscall: 'write' })
  })()
  const store = new DirectoryStore(directory)
  await expect(store.append('a/1', [], failing)).rejects.toMatchObject({ name: 'StoreError', message, isPermanent })
  expect(readdirSync(join(directory, 'a/1'))).toEqual([])
})

test.skipIf(process.platform === 'win32')('a file system that takes only some of the bytes keeps none', async () => {
  const module = fileURLToPath(new URL('directory-store.ts', import.meta.url))
  const script = `
    const { DirectoryStore } = await import(${JSON.stringify(module)})
    const content = (async function* () { for (let n = 0; n < 10; n++) yield Buffer.alloc(100_000) })()
    const error = await new DirectoryStore(process.argv[1]).append('a/1', [], content).catch((error) => error)
    console.log(error.message)`
  // the limit of 64 blocks of 512 bytes is that of the kernel; ignoring the signal makes it an error of the write
  const shell = `trap '' XFSZ; ulimit -f 64; exec "$0" --input-type=module -e "$1" "$2"`
  const run = promisify(execFile)('sh', ['-c', shell, process.execPath, script, directory])
  expect((await run).stdout).toContain('the file is too large for its disk (EFBIG)')
  expect(readdirSync(join(directory, 'a/1'))).toEqual([])
})

test('reading a file that is deleted meanwhile is an error of the reader', async () => {
  const store = new DirectoryStore(directory)
  const { added } = await store.append('a/1', [], contentOf('one'))
  const stream = await store.read('a/1', added, 0, 2)
  rmSync(join(directory, 'a'), { recursive: true })
  await expect(text(stream)).rejects.toMatchObject({ code: 'ENOENT' })
})
