import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { waitFor } from '../wait-for.ts'
import { checkPromises, isQuiet } from './check-promises.ts'
import { Installation } from './installation.ts'
import { outageFaults } from './outage-faults.ts'
import {
  broadcastUnderFire,
  faultsOf,
  phonesFrom,
  processFaults,
  type RandomFault,
  randomFrom,
  shuffled,
  tableOf,
} from './random-faults.ts'
import { Traffic } from './traffic.ts'

// `npm run torture`: the long form of the crash test. Every process is killed and a gateway frozen during one broadcast,
// then log and raw file are compared. With `-- --minutes 10` it runs broadcasts, single texts, STOPs, opt-outs over the API
// and random faults at the same time. The last line is PASS or FAIL and the seed.

const { values } = parseArgs({
  options: {
    recipients: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    rounds: { type: 'string', default: '1' },
    minutes: { type: 'string' },
  },
})
const recipients = Number(values.recipients)
const quietMs = 180_000

// the installations are removed on exit, and a signal alone does not cause a normal exit
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => process.exit(130))

let failed = false
if (values.minutes !== undefined) {
  failed = !(await endure(Number(values.seed), Number(values.minutes)))
} else {
  for (let round = 0; round < Number(values.rounds); round++) {
    failed = !(await torture(Number(values.seed) + round)) || failed
  }
}
process.exit(failed ? 1 : 0)

/** Sends one broadcast and injects every fault once. */
async function torture(seed: number): Promise<boolean> {
  const random = randomFrom(seed)
  let installation: Installation | undefined
  try {
    installation = await Installation.open({ binds: 2, window: 50, latencyMs: 200, leaseMs: 2_000 })
    console.log(`seed ${seed}: ${recipients} recipients, 2 binds with a window of 50`)
    const phones = phonesFrom(2_126_000_000, recipients)
    const listId = await installation.makeList('Under torture', phones)
    const outcome = await broadcastUnderFire(installation, {
      listId,
      phones,
      content: 'The water is safe to drink again',
      processFaults: shuffled(Object.values(processFaults), random),
      random,
    })
    const exitCode = await installation.stop()
    const faults = faultsOf(outcome)
    if (exitCode !== 0) faults.push(`the supervisor ended with code ${exitCode}`)
    const { counts, accepted, samples, everUnknown, mostUnknown, unknownAllowed } = outcome
    console.log(`${tableOf(outcome)}
${recipients} in the audience, ${accepted} taken by the carrier, ${samples} samples of the counts in ${outcome.seconds.toFixed(1)} s
settled ${outcome.settledAfterMs} ms after the last text
in the end ${JSON.stringify(counts)}
unknown: ${everUnknown} rows at some time, ${mostUnknown} at once, ${counts.unknown} for good; ${unknownAllowed} allowed`)
    if (faults.length > 0) console.log(`${installation.logTails()}\n${faults.join('\n')}`)
    console.log(`${faults.length === 0 ? 'PASS' : 'FAIL'} seed ${seed}`)
    return faults.length === 0
  } catch (error) {
    console.error(error, `\n${installation?.logTails()}\nFAIL seed ${seed}`)
    return false
  } finally {
    installation?.endEverything()
  }
}

/** Runs everything at once for some minutes, and then checks all promises. */
async function endure(seed: number, minutes: number): Promise<boolean> {
  const random = randomFrom(seed)
  let installation: Installation | undefined
  try {
    const [binds, window] = [2, 50]
    installation = await Installation.open({
      binds,
      window,
      latencyMs: 100,
      leaseMs: 2_000,
      responseDeadlineMs: 3_000,
      wire: true,
    })
    console.log(`seed ${seed}: ${minutes} minutes, 2 binds with a window of 50`)
    const traffic = new Traffic(installation, { towns: 6, people: 3_000, singlesPerSecond: 8, random })
    await traffic.start()
    const injected = await injectAtRandom(installation, traffic, minutes, random)
    await traffic.stop()
    const faults: string[] = []
    const client = await waitFor(() => (installation as Installation).connect(), {
      timeoutMs: 30_000,
      what: 'the database',
    })
    await waitFor(async () => ((await client.query(isQuiet)).rowCount ?? 0) > 0, {
      timeoutMs: quietMs,
      what: 'everything to be settled',
    }).catch((error: Error) => faults.push(error.message))
    const report = await checkPromises(installation, client, traffic)
    faults.push(...report.faults)
    await client.end()
    const exitCode = await installation.stop()
    if (exitCode !== 0) faults.push(`the supervisor ended with code ${exitCode}`)
    const doubtful = injected.filter(({ leavesUnconfirmed }) => leavesUnconfirmed).length
    const allowed = doubtful * 2 * window * binds
    const unknown = report.states.unknown ?? 0
    if (unknown > allowed) faults.push(`${unknown} rows are unknown for good, ${allowed} are allowed`)
    const tally = new Map<string, number>()
    for (const { name } of injected) tally.set(name, (tally.get(name) ?? 0) + 1)
    console.log(`${[...tally].map(([name, n]) => `${String(n).padStart(4)} x ${name}`).join('\n')}
${traffic.broadcasts.length} broadcasts, ${traffic.singles.length} texts to single people, ${report.texts} texts taken by the carrier
${traffic.departures.length} people left, ${report.promised} were told that it is in force
in the end ${JSON.stringify(report.states)}; ${allowed} may be unknown`)
    if (faults.length > 0) console.log(`${installation.logTails()}\n${faults.slice(0, 40).join('\n')}`)
    console.log(`${faults.length === 0 ? 'PASS' : 'FAIL'} seed ${seed}`)
    return faults.length === 0
  } catch (error) {
    console.error(error, `\n${installation?.logTails()}\nFAIL seed ${seed}`)
    return false
  } finally {
    installation?.endEverything()
  }
}

async function injectAtRandom(
  installation: Installation,
  traffic: Traffic,
  minutes: number,
  random: () => number,
): Promise<RandomFault[]> {
  const all: RandomFault[] = [...Object.values(processFaults), ...outageFaults]
  const injected: RandomFault[] = []
  const begun = performance.now()
  for (let told = begun; performance.now() - begun < minutes * 60_000; ) {
    await delay(1_000 + 4_000 * random())
    const fault = all[Math.floor(random() * all.length)] as RandomFault
    try {
      // it counts from the moment when it can have had an effect
      await fault.inject(installation, () => injected.push(fault))
      await waitFor(() => installation.isReady(), {
        timeoutMs: 60_000,
        what: `an installation that is ready after ${fault.name}`,
      })
    } catch (error) {
      // its target may be down; an installation that does not recover fails below
      if (!injected.includes(fault)) console.log(`${fault.name} missed: ${(error as Error).message}`)
      else console.log(`${fault.name}: ${(error as Error).message}`)
      await waitFor(() => installation.isReady(), {
        timeoutMs: 60_000,
        what: `an installation that is ready after ${fault.name}`,
      })
    }
    if (performance.now() - told < 30_000) continue
    told = performance.now()
    const minute = ((told - begun) / 60_000).toFixed(1)
    console.log(
      `${minute} min: ${injected.length} faults, ${traffic.broadcasts.length} broadcasts, ${traffic.singles.length} single texts`,
    )
  }
  return injected
}
