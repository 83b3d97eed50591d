import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
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

/** Runs work and returns the folders in the test's directory, and above it, that it synced. */
async function syncedBy(work: () => Promise<unknown>): Promise<string[]> {
  const handle = await open(directory)
  const prototype = Object.getPrototypeOf(handle)
  await handle.close()
  const paths: string[] = []
  const { sync } = prototype
  const spy = vi.spyOn(prototype, 'sync').mockImplementation(function (this: { fd: number }) {
    paths.push(readlinkSync(`/proc/self/fd/${this.fd}`))
    return sync.call(this)
  })
  await work().finally(() => spy.mockRestore())
  return paths.filter((path) => !path.endsWith('.part'))
}

test.skipIf(process.platform !== 'linux')(
  'the folders of a part are durable, also those of a call that failed',
  async () => {
    const root = join(directory, 'data/files')
    const store = new DirectoryStore(root)
    const failing = (async function* (): AsyncGenerator<Buffer> {
      yield await Promise.reject(new Error('no content'))
    })()
    await expect(store.append('reports/2', [], failing)).rejects.toThrow('no content')
    const above = [join(root, 'reports'), root, join(directory, 'data')]
    expect(await syncedBy(() => store.append('reports/2', [], contentOf('one')))).toEqual([
      join(root, 'reports/2'),
      ...above,
    ])
    const other = new DirectoryStore(join(directory, 'other/data/files'))
    expect(await syncedBy(() => other.append('reports/1', [], contentOf('one')))).toEqual([
      join(directory, 'other/data/files/reports/1'),
      join(directory, 'other/data/files/reports'),
      join(directory, 'other/data/files'),
      join(directory, 'other/data'),
      join(directory, 'other'),
      directory,
    ])
  },
)

test('reading a file that is deleted meanwhile is an error of the reader', async () => {
  const store = new DirectoryStore(directory)
  const { added } = await store.append('a/1', [], contentOf('one'))
  const stream = await store.read('a/1', added, 0, 2)
  rmSync(join(directory, 'a'), { recursive: true })
  await expect(text(stream)).rejects.toMatchObject({ code: 'ENOENT' })
})
