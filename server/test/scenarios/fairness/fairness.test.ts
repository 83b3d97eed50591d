import { afterAll, describe, expect, onTestFailed, test } from 'vitest'
import { Installation } from '../installation.ts'
import type { Answers } from './hostile-account.ts'
import { HostileThread } from './hostile-thread.ts'
import { startNumberService } from './number-service.ts'
import { type Kind, kinds, median, OrdinaryAccount, type Times } from './ordinary-account.ts'

// One account does its worst in every way that the API offers; another one sends a broadcast and single texts, imports
// 1,000 people, tags, adds and opts out some. None of its work may take five times as long as alone; the goal is three. A
// table shows both times.

// `npm run test:faults` measures that, on a machine without other work. The short form notices an account that stops another
// one, whatever else the machine does.
const isLong = process.env.CARILLON_TEST_FORM === 'long'
/**
 * The times may be `limit` times as long as alone. Work that takes less than `shortestMs` alone counts as that long, because
 * below it the scheduler decides, which lets all processes wait for a core.
 */
const { rounds, recipients, queuedChanges, limit, shortestMs } = isLong
  ? { rounds: 3, recipients: 1_000, queuedChanges: 400, limit: 5, shortestMs: 100 }
  : { rounds: 1, recipients: 200, queuedChanges: 100, limit: 10, shortestMs: 500 }
const accountLimit = 200

/** The responses to an upload for which the account has no place; they have a `Retry-After`. */
const busyUpload = /^(?:dripping uploads|imports|wide imports|skipped rows) 503$/

const allKinds = Object.keys(kinds) as Kind[]

describe.skipIf(process.platform !== 'linux')('an account that does its worst', () => {
  let installation: Installation | undefined
  let service: { url: string; close(): void } | undefined
  let hostile: HostileThread | undefined
  afterAll(async () => {
    await hostile?.terminate()
    installation?.destroy()
    service?.close()
  })

  test('stalls no work of another account', { timeout: 900_000 }, async () => {
    onTestFailed(() => console.error(installation?.logTails()))
    service = await startNumberService()
    installation = await Installation.open({
      ...{ binds: 2, window: 20, latencyMs: 100, leaseMs: 2_000 },
      env: {
        CARILLON_CAPS: `queued_changes=${queuedChanges}`,
        CARILLON_LOOKUP_URL: service.url,
        CARILLON_ALLOW_PRIVATE_URLS: '127.0.0.0/8',
      },
    })
    const { apiUrl } = installation
    const { authorization } = await installation.makeAccount('hostile')
    hostile = new HostileThread({ apiUrl, authorization })
    const ordinary = new OrdinaryAccount(installation, await installation.makeAccount('ordinary'), recipients)
    await hostile.prepare()
    await ordinary.prepare()
    if (isLong) await ordinary.work()
    const alone = await measure(() => ordinary.work())

    const client = await installation.connect()
    const openChanges = async () => {
      const sql = `select count(*)::int as n from subscriber_changes join accounts on accounts.id = account_id where email like 'hostile@%'`
      return (await client.query<{ n: number }>(sql)).rows[0]?.n ?? 0
    }
    const open: number[] = []
    await hostile.fillQueues()
    await hostile.start()
    const beside = await measure(() =>
      ordinary.work(async (kind) => {
        if (kind === 'import' || kind === 'tag') open.push(await openChanges())
      }),
    )
    const answers = await hostile.stop()
    await client.end()

    if (isLong) console.log(tableOf(alone, beside), statusesOf(answers))
    expect(Math.min(...open), 'queued changes of the hostile account').toBeGreaterThan(0.75 * queuedChanges)
    expectRejections(answers)
    for (const kind of allKinds) expect(beside[kind] / Math.max(alone[kind], shortestMs), kind).toBeLessThan(limit)
    expect(await installation.stop()).toBe(0)
  })
})

/** Expects that the hostile account got its limits in rejections, and no error of the server. */
function expectRejections({ statuses, caps, retryAfter, burst }: Answers): void {
  expect(caps).toContain('too_many_queued_changes')
  expect(retryAfter.size).toBeGreaterThan(0)
  for (const value of retryAfter) expect(value).toMatch(/^[1-9]\d{0,3}$/)
  expect(burst.accepted).toBeLessThanOrEqual(accountLimit * Math.ceil(burst.seconds))
  const faults = [...statuses.keys()].filter((key) => / 5\d\d$/.test(key) && !busyUpload.test(key))
  expect(faults).toEqual([])
}

/** Returns the median time of each kind of work over the rounds. */
async function measure(work: () => Promise<Times>): Promise<Times> {
  const times: Times[] = []
  for (let round = 0; round < rounds; round++) times.push(await work())
  return Object.fromEntries(allKinds.map((kind) => [kind, median(times.map((of) => of[kind]))])) as Times
}

function tableOf(alone: Times, beside: Times): string {
  const rows = allKinds.map((kind) => {
    const cells = [
      kind,
      kinds[kind],
      Math.round(alone[kind]),
      Math.round(beside[kind]),
      (beside[kind] / alone[kind]).toFixed(2),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return ['| work | time | alone, ms | beside, ms | ratio |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')
}

function statusesOf({ statuses, caps }: Answers): string {
  const lines = [...statuses].sort(([a], [b]) => a.localeCompare(b)).map(([key, n]) => `${key}: ${n}`)
  return `\n${lines.join('\n')}\n${[...caps].join(', ')}`
}
