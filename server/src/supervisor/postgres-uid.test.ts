import {
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeScratch } from '../../test/carillon-process.ts'
import { startPostgres } from './embedded-postgres.ts'
import { findNamedAccount } from './postgres-account.ts'
import { removeCluster } from './postgres-files.ts'
import { chooseId, claimAccount, giveCluster } from './postgres-uid.ts'

const isRoot = process.getuid?.() === 0 && process.platform === 'linux'
const nobody = 65_534
const none: ReadonlySet<number> = new Set()
const whole = '         0          0 4294967295\n'

describe('the uid of PostgreSQL', () => {
  test('is unused, and differs between installations', () => {
    const known = { uidMap: whole, gidMap: whole, named: none, busy: none }
    const ids = Array.from({ length: 20 }, () => chooseId(known))
    expect(new Set(ids).size).toBe(20)
    for (const id of ids) expect(id).toBeGreaterThan(1_879_000_000)
  })

  test('is one that the container maps, for users and groups, and that nobody has', () => {
    const usual = '0 100000 65536\n'
    const [named, busy] = [60_578, 60_878].map((first) => new Set(Array.from({ length: 300 }, (_, n) => first + n)))
    const id = chooseId({ uidMap: usual, gidMap: usual, named: named ?? none, busy: busy ?? none })
    if (id !== undefined) expect(id).toBeGreaterThanOrEqual(61_178)
    const free = { named: none, busy: none }
    expect(chooseId({ uidMap: usual, gidMap: usual, ...free })).toBeLessThan(61_184)
    expect(chooseId({ uidMap: whole, gidMap: usual, ...free })).toBeLessThan(61_184)
    expect(chooseId({ uidMap: '0 1000 1\n', gidMap: whole, ...free })).toBeUndefined()
    expect(chooseId({ uidMap: '0 1000 1\n1 100000 65536\n', gidMap: usual, ...free })).toBeLessThan(61_184)
  })

  test('the account that creates the cluster has no processes, if there is one', () => {
    const passwd = ['root:x:0:0', 'operator:x:11:0', 'daemon:x:1:1', 'games:x:5:60', 'nobody:x:65534:65534'].join('\n')
    expect(findNamedAccount(new Set([0, 1, 65_534]), passwd)).toMatchObject({ name: 'games', uid: 5, gid: 60 })
    expect(findNamedAccount(new Set([0, 1, 5]), passwd).name).toBe('nobody')
    expect(findNamedAccount(undefined, passwd).name).toBe('nobody')
    expect(() => findNamedAccount(undefined, 'root:x:0:0')).toThrow('no other account')
  })
})

describe.skipIf(!isRoot)('as root', () => {
  function makeHome() {
    const scratch = makeScratch()
    onTestFinished(() => scratch.remove())
    const home = join(scratch.path, 'postgres')
    mkdirSync(home)
    return home
  }

  const ownersBelow = (directory: string) =>
    new Set(
      [
        directory,
        ...readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name)),
      ].map((path) => lstatSync(path).uid),
    )

  test('PostgreSQL runs with a uid of its own, also on a cluster that nobody owns in part', async () => {
    const home = makeHome()
    onTestFinished(() => removeCluster(home))
    const reports: string[] = []
    const options = { dataDir: home, settings: { fsync: 'off' }, report: (line: string) => void reports.push(line) }
    const first = await startPostgres(options)
    const uid = statSync(`/proc/${first.pid}`).uid
    expect(readFileSync('/etc/passwd', 'utf8')).not.toContain(`:${uid}:`)
    expect(readFileSync(`/proc/${first.pid}/status`, 'utf8')).toMatch(new RegExp(`^Uid:(\\t${uid}){4}$`, 'm'))
    await first.stop()
    expect(ownersBelow(first.clusterDir)).toEqual(new Set([uid]))

    // an earlier version ran as nobody, and a change of the owner was killed: the directory is root's
    for (const name of ['base', 'global', 'PG_VERSION', 'postgresql.conf'])
      chownSync(join(first.clusterDir, name), nobody, nobody)
    chownSync(first.clusterDir, 0, 0)
    rmSync(join(home, 'account'))
    const second = await startPostgres(options)
    const next = statSync(`/proc/${second.pid}`).uid
    expect(ownersBelow(second.clusterDir)).toEqual(new Set([next]))
    const client = new pg.Client({ connectionString: second.url })
    await client.connect()
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
    await second.stop('immediate')
    expect(claimAccount(home, () => {})).toMatchObject({ uid: next })
    expect(reports).toEqual([])
  })

  test.each([
    ['a hard link', linkSync, 'more than one name'],
    ['a symbolic link', symlinkSync, 'symbolic link'],
  ])('a cluster with %s to another place is not given away', (_what, link, fault) => {
    const home = makeHome()
    const secret = join(home, 'secret')
    writeFileSync(secret, '')
    mkdirSync(join(home, 'cluster', 'base'), { recursive: true })
    link(secret, join(home, 'cluster', 'base', '1'))
    const give = () => giveCluster(join(home, 'cluster'), { name: 'x', uid: 61_000, gid: 61_000 })
    // also at the next start
    for (const _ of [1, 2]) expect(give).toThrow(fault)
    expect(statSync(secret).uid).toBe(0)
  })

  test('a record that names an account of another program is replaced', () => {
    const home = makeHome()
    for (const text of ['0', '1', String(nobody), '1e9', '-5', 'x', '']) {
      writeFileSync(join(home, 'account'), text)
      expect(claimAccount(home, () => {})?.uid).toBeGreaterThan(60_000)
      expect(claimAccount(home, () => {})?.uid).not.toBe(nobody)
    }
  })

  test('an account that cannot be used is replaced by a shared one, with the reason', () => {
    const reports: string[] = []
    const account = claimAccount('/proc', (line) => void reports.push(line))
    expect(account?.uid).toBeGreaterThan(0)
    expect(reports).toEqual([
      expect.stringMatching(/^PostgreSQL shares the account \w+ with other programs: files in \/proc/),
    ])
  })
})
