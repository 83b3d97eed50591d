import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { waitFor } from '../../wait-for.ts'
import { installPauses, type Places, pauseAt } from '../pauses.ts'
import { ClickWorld } from './click-world.ts'

// No click that was redirected is lost, and none is counted twice, while PostgreSQL is stopped, and if a process is killed between any
// two of spool, redirect, drain, commit and mark. The short form is part of `npm test`, the long form, with 100,000 clicks, of
// `npm run test:faults`.

const isLong = process.env.CARILLON_TEST_FORM === 'long'
const outage = isLong ? { clicks: 100_000, stopMs: 5_000 } : { clicks: 4_000, stopMs: 1_500 }
const clicksPerKill = isLong ? 2_000 : 100

const places = {
  drainBegins: { table: 'click_spools', operation: 'insert' },
  clicksStored: { table: 'clicks', operation: 'insert' },
  spoolMoved: { table: 'click_spools', operation: 'update' },
  drainCommits: { table: 'click_spools', operation: 'update', atCommit: true },
  fileDeleted: { table: 'click_spools', operation: 'delete' },
} satisfies Places

type PlaceName = keyof typeof places

type End = 'rolled back' | 'executed' | 'database'
type KillCase = [title: string, place: PlaceName, end: End]

const kills: KillCase[] = [
  ['between redirect and drain', 'drainBegins', 'rolled back'],
  ['while clicks are stored', 'clicksStored', 'rolled back'],
  ['between clicks and mark', 'spoolMoved', 'executed'],
  ['before the commit', 'drainCommits', 'rolled back'],
  ['between commit and response', 'drainCommits', 'executed'],
  ['at the commit, with the database', 'drainCommits', 'database'],
  ['between the end of a file and that of its row', 'fileDeleted', 'rolled back'],
]
const shortKills = kills.filter(([, place, end]) => place === 'drainCommits' && end !== 'database')

describe.skipIf(process.platform !== 'linux')('clicks that were redirected are counted once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'clicks-'))
  let opened: ClickWorld | undefined

  beforeAll(async () => {
    opened = await ClickWorld.open(folder)
    const client = await opened.installation.connect()
    await installPauses(client, places)
    await client.end()
  })
  afterAll(() => {
    opened?.close()
    rmSync(folder, { recursive: true })
  })

  const world = () => {
    onTestFailed(() => console.error(opened?.installation.logTails()))
    if (!opened) throw new Error('the installation is not open')
    return opened
  }

  test(`if PostgreSQL is stopped for ${outage.stopMs} ms during ${outage.clicks} clicks`, async () => {
    const own = world()
    const { installation, redirected, failures } = own
    const before = redirected.size
    const opening = own.openUrls(outage.clicks)
    await waitFor(() => redirected.size - before > outage.clicks / 10, { timeoutMs: 60_000, what: 'the first clicks' })
    installation.signalDatabase('SIGSTOP')
    const atStop = redirected.size
    await delay(outage.stopMs)
    const duringStop = redirected.size - atStop
    installation.signalDatabase('SIGCONT')
    await opening
    console.log(`${redirected.size - before} clicks redirected, ${duringStop} of them while PostgreSQL was stopped`)
    expect(duringStop).toBeGreaterThan(outage.clicks / 50)
    expect([redirected.size - before, [...failures]]).toEqual([outage.clicks, []])
    expect(await own.check(isLong ? 120_000 : 30_000)).toEqual([])
  })

  test.each(['before', 'after'] as const)(
    'if the api is killed %s the write of clicks, before the redirect',
    async (moment) => {
      const own = world()
      const before = own.redirected.size
      const opening = own.openUrls(clicksPerKill * 2)
      await waitFor(() => own.redirected.size - before > clicksPerKill / 2, { what: 'the first clicks' })
      const pid = own.installation.pid('api')
      own.killAtSync(moment)
      await waitFor(() => isGone(own, pid), { what: 'the api to be killed' })
      own.cancelKillAtSync()
      await opening
      await own.ready()
      await own.openUrls(clicksPerKill)
      expect(own.redirected.size - before).toBeGreaterThan(clicksPerKill)
      expect(await own.check()).toEqual([])
    },
  )

  test.each(isLong ? kills : shortKills)('if the api is killed %s (%s, %s)', async (_, place, end) => {
    const own = world()
    const { installation } = own
    const pause = await pauseAt(installation, places, place)
    onTestFailed(() => pause.release())
    await own.openUrls(clicksPerKill)
    if (place === 'fileDeleted') own.age()
    await pause.reached('api')
    const pid = installation.pid('api')
    installation.kill('api')
    if (end === 'database') installation.kill('postmaster')
    else await pause.finish(end === 'rolled back')
    if (end === 'database') await pause.release()
    await waitFor(() => isGone(own, pid), { what: 'the api to be replaced' })
    await own.ready()
    await own.openUrls(clicksPerKill)
    expect(await own.check()).toEqual([])
  })
})

/** Returns whether a process is no longer that of the api. */
function isGone({ installation }: ClickWorld, pid: number): boolean {
  try {
    return installation.pid('api') !== pid
  } catch {
    return true
  }
}
