import { parseArgs } from 'node:util'
import { blows, broadcastUnderFire, faultsOf, phonesFrom, randomFrom, shuffled, tableOf } from './blows.ts'
import { House } from './house.ts'

// `npm run torture`: the long form of the crash test. Every process is killed and a gateway frozen during one broadcast,
// then log and raw file are compared. The last line says PASS or FAIL, and the seed to play it again.

const { values } = parseArgs({
  options: {
    recipients: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    rounds: { type: 'string', default: '1' },
  },
})
const recipients = Number(values.recipients)

// the houses are swept away when the process exits, which it does not do by itself at a signal
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => process.exit(130))

let failed = false
for (let round = 0; round < Number(values.rounds); round++) {
  failed = !(await torture(Number(values.seed) + round)) || failed
}
process.exit(failed ? 1 : 0)

async function torture(seed: number): Promise<boolean> {
  const random = randomFrom(seed)
  let house: House | undefined
  try {
    house = await House.open({ binds: 2, window: 50, latencyMs: 200, leaseMs: 2_000 })
    console.log(`seed ${seed}: ${recipients} recipients, 2 binds with a window of 50`)
    const phones = phonesFrom(2_126_000_000, recipients)
    const listId = await house.makeList('Under torture', phones)
    const outcome = await broadcastUnderFire(house, {
      listId,
      phones,
      content: 'The water is safe to drink again',
      blows: shuffled(Object.values(blows), random),
      random,
    })
    const exitCode = await house.stop()
    const faults = faultsOf(outcome)
    if (exitCode !== 0) faults.push(`the supervisor ended with code ${exitCode}`)
    const { counts, accepted, samples, everUnknown, mostUnknown, unknownAllowed } = outcome
    console.log(`${tableOf(outcome)}
${recipients} in the audience, ${accepted} taken by the carrier, ${samples} samples of the counts in ${outcome.seconds.toFixed(1)} s
settled ${outcome.settledAfterMs} ms after the last text
in the end ${JSON.stringify(counts)}
unknown: ${everUnknown} rows at some time, ${mostUnknown} at once, ${counts.unknown} for good; ${unknownAllowed} allowed`)
    if (faults.length > 0) console.log(`${house.logTails()}\n${faults.join('\n')}`)
    console.log(`${faults.length === 0 ? 'PASS' : 'FAIL'} seed ${seed}`)
    return faults.length === 0
  } catch (error) {
    console.error(error, `\n${house?.logTails()}\nFAIL seed ${seed}`)
    return false
  } finally {
    house?.endEverything()
  }
}
