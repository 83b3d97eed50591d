import { afterAll, describe, expect, onTestFailed, test } from 'vitest'
import { Installation } from './installation.ts'
import {
  broadcastDuringFaults,
  faultsOf,
  phonesFrom,
  processFaults,
  type RandomFault,
  randomFrom,
  shuffled,
  tableOf,
} from './random-faults.ts'
import { makeList } from './texting.ts'

// Promises B1 and B2 on the real processes, in the short form; `npm run torture` is the long form. Repeat a failure
// with CARILLON_TEST_SEED=<the printed seed>.

const seed = Number(process.env.CARILLON_TEST_SEED ?? Math.floor(Math.random() * 1_000_000))
const random = randomFrom(seed)
const recipients = 3_000

describe.skipIf(process.platform !== 'linux')('a broadcast whose processes are killed', () => {
  let installation: Installation | undefined
  afterAll(() => installation?.destroy())

  test(`texts every subscriber exactly once (seed ${seed})`, { timeout: 120_000 }, async () => {
    onTestFailed(() => console.error(`seed ${seed}\n${installation?.logTails()}`))
    installation = await Installation.open({ binds: 2, window: 50, latencyMs: 100, leaseMs: 2_000 })
    const phones = phonesFrom(2_126_000_000, recipients)
    const listId = await makeList(installation, 'Broadcast with faults', phones)
    const third: RandomFault = random() < 0.5 ? processFaults.api : processFaults.worker
    const outcome = await broadcastDuringFaults(installation, {
      listId,
      phones,
      content: 'The water is safe to drink again',
      processFaults: shuffled([processFaults.gateway, processFaults.postmaster, third], random),
      random,
    })
    console.log(`seed ${seed}, ${outcome.seconds.toFixed(1)} s\n${tableOf(outcome)}`)
    expect(faultsOf(outcome)).toEqual([])
    expect(outcome.counts.audience).toBe(recipients)
    expect(await installation.stop()).toBe(0)
  })
})
