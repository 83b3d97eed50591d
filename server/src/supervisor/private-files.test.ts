import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeScratch, startCarillon } from '../../test/carillon-process.ts'

// A real start, with the real simulator.

const isRoot = process.getuid?.() === 0
const nobody = 65_534
let scratch: ReturnType<typeof makeScratch>
let dataDir: string

beforeEach(() => {
  scratch = makeScratch()
  dataDir = join(scratch.path, 'data')
})

afterEach(() => scratch.remove())

/** Returns all paths below a directory that other accounts can use, with their modes. */
function exposed(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => !entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => (statSync(path).mode & 0o077) !== 0)
    .map((path) => `${path.slice(directory.length + 1)} ${(statSync(path).mode & 0o777).toString(8)}`)
}

describe.skipIf(process.platform !== 'linux')('no other account can read the data directory', () => {
  test.each([0o000, 0o022])(
    'after a start with the umask %i, also not what an earlier version wrote',
    async (umask) => {
      const secret = join(scratch.path, 'elsewhere')
      writeFileSync(secret, 'not ours', { mode: 0o644 })
      const earlier = process.umask(umask)
      try {
        for (const folder of ['log', 'simulator', 'postgres']) mkdirSync(join(dataDir, folder), { recursive: true })
        writeFileSync(join(dataDir, 'carillon.json'), '{"product":"carillon","format":1,"mode":"sandbox"}')
        for (const file of [
          'simulator/submits.raw',
          'simulator/submits.raw.acknowledged',
          'log/api.log',
          'sandbox.json',
        ]) {
          writeFileSync(join(dataDir, file), '')
          chmodSync(join(dataDir, file), 0o666)
        }
        symlinkSync(secret, join(dataDir, 'log', 'link'))
        const carillon = startCarillon({ dataDir, env: { CARILLON_TEST_SIMULATOR: '../../src/bin/simulator.ts' } })
        await carillon.ready()
        // the account of PostgreSQL traverses the directory above its cluster
        expect(exposed(dataDir)).toEqual(isRoot ? ['postgres 711'] : [])
        expect(statSync(dataDir).mode & 0o777).toBe(isRoot ? 0o711 : 0o700)
        expect(statSync(secret).mode & 0o777).toBe(0o644 & ~umask)
        expect(readFileSync(join(dataDir, 'log', 'simulator.log'), 'utf8')).toContain('simulator started')
        if (isRoot) {
          const found = spawnSync('find', [dataDir, '-readable'], { uid: nobody, gid: nobody, encoding: 'utf8' })
          expect(found.stdout.split('\n').filter((path) => path !== '' && !path.endsWith('/log/link'))).toEqual([])
        }
      } finally {
        process.umask(earlier)
      }
    },
  )
})
