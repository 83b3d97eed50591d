import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { Installation } from '../installation.ts'
import { recordedMoves, recordMoves, undeclared } from '../moves.ts'
import { phonesFrom } from '../random-faults.ts'
import { faults } from './faults.ts'
import { broadcastWith, type Form, type Town } from './scene.ts'

// Promises B1, B2 and B3 during each fault. `npm run test:faults` is the long form: more subscribers, and the leases,
// deadlines and durations of production.

const form: Form = process.env.CARILLON_TEST_FORM === 'long' ? 'long' : 'short'
const { recipients, ...settings } = {
  short: { recipients: 800, leaseMs: 2_000, responseDeadlineMs: 1_500 },
  long: { recipients: 20_000, leaseMs: 5_000, responseDeadlineMs: 10_000 },
}[form]

describe.skipIf(process.platform !== 'linux')(`a broadcast while (${form})`, () => {
  let installation: Installation | undefined
  let town: Town

  beforeAll(async () => {
    installation = await Installation.open({ binds: 2, window: 50, latencyMs: 100, wire: true, ...settings })
    const client = await installation.connect()
    await recordMoves(client)
    await client.end()
    const phones = phonesFrom(2_126_000_000, recipients)
    town = { phones, listId: await installation.makeList('The town', phones) }
  })
  afterAll(() => installation?.endEverything())

  test.each(faults)('$name', { timeout: form === 'long' ? 300_000 : 60_000 }, async (fault) => {
    if (!installation) throw new Error('the installation is not open')
    onTestFailed(() => console.error(installation?.logTails()))
    const { faults: found, ...figures } = await broadcastWith(installation, town, fault, form)
    console.log(`${fault.name}: ${JSON.stringify(figures)}`)
    expect(found).toEqual([])
  })

  test('each change of state was made by a role that log/transitions.ts names', async () => {
    if (!installation) throw new Error('the installation is not open')
    const client = await installation.connect()
    const moves = await recordedMoves(client)
    await client.end()
    console.log(moves.map(({ role, from, to }) => `${role}: ${from ?? 'new'} to ${to}`).join('\n'))
    expect(undeclared(moves)).toEqual([])
    expect(new Set(moves.map(({ role }) => role))).toEqual(new Set(['api', 'gateway', 'worker']))
    expect(moves.length).toBeGreaterThan(8)
  })

  test('the installation stops in order after all faults', async () => {
    expect(await installation?.stop()).toBe(0)
  })
})
