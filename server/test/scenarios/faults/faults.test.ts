import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { Installation } from '../installation.ts'
import { phonesFrom } from '../random-faults.ts'
import { listStateChanges, recordStateChanges, undeclaredChanges } from '../state-changes.ts'
import { makeList } from '../texting.ts'
import { type Form, runFault, type TestList } from './fault-run.ts'
import { faults } from './faults.ts'

// Promises B1, B2 and B3 during each fault. `npm run test:faults` is the long form: more subscribers, and the leases,
// deadlines and durations of production.

const form: Form = process.env.CARILLON_TEST_FORM === 'long' ? 'long' : 'short'
const { recipients, ...settings } = {
  short: { recipients: 800, leaseMs: 2_000, responseDeadlineMs: 1_500 },
  long: { recipients: 20_000, leaseMs: 5_000, responseDeadlineMs: 10_000 },
}[form]

describe.skipIf(process.platform !== 'linux')(`a broadcast (${form})`, () => {
  let installation: Installation | undefined
  let list: TestList

  beforeAll(async () => {
    installation = await Installation.open({ binds: 2, window: 50, latencyMs: 100, proxy: true, ...settings })
    const client = await installation.connect()
    await recordStateChanges(client)
    await client.end()
    const phones = phonesFrom(2_126_000_000, recipients)
    list = { phones, listId: await makeList(installation, 'All subscribers', phones) }
  })
  afterAll(() => installation?.destroy())

  test.each(faults)(
    'keeps its promises while $name',
    { timeout: form === 'long' ? 300_000 : 60_000 },
    async (fault) => {
      if (!installation) throw new Error('the installation is not open')
      onTestFailed(() => console.error(installation?.logTails()))
      const { faults: found, ...figures } = await runFault(installation, list, fault, form)
      console.log(`${fault.name}: ${JSON.stringify(figures)}`)
      expect(found).toEqual([])
    },
  )

  test('changes states only by roles that log/transitions.ts names', async () => {
    if (!installation) throw new Error('the installation is not open')
    const client = await installation.connect()
    const changes = await listStateChanges(client)
    await client.end()
    console.log(changes.map(({ role, from, to }) => `${role}: ${from ?? 'new'} to ${to}`).join('\n'))
    expect(undeclaredChanges(changes)).toEqual([])
    expect(new Set(changes.map(({ role }) => role))).toEqual(new Set(['api', 'gateway', 'worker']))
    expect(changes.length).toBeGreaterThan(8)
  })

  test('leaves an installation that stops in order after all faults', async () => {
    expect(await installation?.stop()).toBe(0)
  })
})
