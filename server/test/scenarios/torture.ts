import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { waitFor } from '../wait-for.ts'
import { checkPromises, settledSql } from './check-promises.ts'
import { Installation } from './installation.ts'
import { outageFaults } from './outage-faults.ts'
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
import { Traffic } from './traffic.ts'

// `npm run torture`: the long form of the crash test. All processes are killed and a gateway is frozen during one
// broadcast, then the log is compared with the raw file. With `-- --minutes 10`, broadcasts, single texts, STOPs, opt-outs
// over the API and random faults run at the same time. The last line is PASS or FAIL and the seed.

const { values } = parseArgs({
  options: {
    recipients: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    rounds: { type: 'string', default: '1' },
    minutes: { type: 'string' },
  },
})
const recipients = Number(values.recipients)
const settleMs = 180_000

// installations are removed by an exit handler, which does not run when a signal ends the process
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => process.exit(130))

let failed = false
if (values.minutes !== undefined) {
  failed = !(await runTraffic(Number(values.seed), Number(values.minutes)))
} else {
  for (let round = 0; round < Number(values.rounds); round++) {
    failed = !(await runBroadcast(Number(values.seed) + round)) || failed
  }
}
process.exit(failed ? 1 : 0)

/** Sends one broadcast and injects every fault once. */
async function runBroadcast(seed: number): Promise<boolean> {
  const random = randomFrom(seed)
  let installation: Installation | undefined
  try {
    installation = await Installation.open({ binds: 2, window: 50, latencyMs: 200, leaseMs: 2_000 })
    console.log(`seed ${seed}: ${recipients} recipients, 2 binds with a window of 50`)
    const phones = phonesFrom(2_126_000_000, recipients)
    const listId = await makeList(installation, 'All subscribers', phones)
    const outcome = await broadcastDuringFaults(installation, {
      listId,
      phones,
      content: 'The water is safe to drink again',
      processFaults: shuffled(Object.values(processFaults), random),
      random,
    })
    const differences = await installation.reconcile()
    const exitCode = await installation.stop()
    const faults = [...faultsOf(outcome), ...differences]
    if (exitCode !== 0) faults.push(`the supervisor ended with code ${exitCode}`)
    const { counts, accepted, samples, everUnknown, mostUnknown, unknownAllowed } = outcome
    console.log(`${tableOf(outcome)}
audience ${recipients}, ${accepted} accepted by the carrier, ${samples} samples of the counts in ${outcome.seconds.toFixed(1)} s
settled ${outcome.settledAfterMs} ms after the last text
final counts ${JSON.stringify(counts)}
unknown rows: ${everUnknown} in total, at most ${mostUnknown} at the same time, ${counts.unknown} at the end; ${unknownAllowed} allowed`)
    if (faults.length > 0) console.log(`${installation.logTails()}\n${faults.join('\n')}`)
    console.log(`${faults.length === 0 ? 'PASS' : 'FAIL'} seed ${seed}`)
    return faults.length === 0
  } catch (error) {
    console.error(error, `\n${installation?.logTails()}\nFAIL seed ${seed}`)
    return false
  } finally {
    installation?.destroy()
  }
}

/** Runs traffic and random faults for `minutes`, and then checks all promises. */
async function runTraffic(seed: number, minutes: number): Promise<boolean> {
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
      proxy: true,
    })
    console.log(`seed ${seed}: ${minutes} minutes, 2 binds with a window of 50`)
    const traffic = new Traffic(installation, { lists: 6, subscribers: 3_000, singleTextsPerSecond: 8, random })
    await traffic.start()
    const injected = await injectAtRandom(installation, traffic, minutes, random)
    await traffic.stop()
    const faults: string[] = []
    const client = await waitFor(() => (installation as Installation).connect(), {
      timeoutMs: 30_000,
      what: 'the database',
    })
    await waitFor(async () => ((await client.query(settledSql)).rowCount ?? 0) > 0, {
      timeoutMs: settleMs,
      what: 'all texts to settle',
    }).catch((error: Error) => faults.push(error.message))
    const report = await checkPromises(installation, client, traffic)
    faults.push(...report.faults)
    await client.end()
    faults.push(...(await installation.reconcile()))
    const exitCode = await installation.stop()
    if (exitCode !== 0) faults.push(`the supervisor ended with code ${exitCode}`)
    const unconfirmingFaults = injected.filter(({ leavesUnconfirmed }) => leavesUnconfirmed).length
    const allowed = unconfirmingFaults * 2 * window * binds
    const unknown = report.states.unknown ?? 0
    if (unknown > allowed) faults.push(`${unknown} rows are still unknown, ${allowed} are allowed`)
    const countByName = new Map<string, number>()
    for (const { name } of injected) countByName.set(name, (countByName.get(name) ?? 0) + 1)
    console.log(`${[...countByName].map(([name, n]) => `${String(n).padStart(4)} x ${name}`).join('\n')}
${traffic.broadcasts.length} broadcasts, ${traffic.singleTexts.length} single texts, ${report.acceptedTexts} texts accepted by the carrier
${traffic.optOuts.length} opt-outs, ${report.promisedOptOuts} of them confirmed by a response
final counts ${JSON.stringify(report.states)}; ${allowed} may be unknown`)
    if (faults.length > 0) console.log(`${installation.logTails()}\n${faults.slice(0, 40).join('\n')}`)
    console.log(`${faults.length === 0 ? 'PASS' : 'FAIL'} seed ${seed}`)
    return faults.length === 0
  } catch (error) {
    console.error(error, `\n${installation?.logTails()}\nFAIL seed ${seed}`)
    return false
  } finally {
    installation?.destroy()
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
  const startedAt = performance.now()
  for (let loggedAt = startedAt; performance.now() - startedAt < minutes * 60_000; ) {
    await delay(1_000 + 4_000 * random())
    const fault = all[Math.floor(random() * all.length)] as RandomFault
    try {
      // a fault counts from the moment when it may have had an effect
      await fault.inject(installation, () => injected.push(fault))
      await waitFor(() => installation.isReady(), {
        timeoutMs: 60_000,
        what: `the installation to be ready after ${fault.name}`,
      })
    } catch (error) {
      // the target may be down; if the installation does not recover, the next wait fails
      if (!injected.includes(fault)) console.log(`${fault.name} not injected: ${(error as Error).message}`)
      else console.log(`${fault.name}: ${(error as Error).message}`)
      await waitFor(() => installation.isReady(), {
        timeoutMs: 60_000,
        what: `the installation to be ready after ${fault.name}`,
      })
    }
    if (performance.now() - loggedAt < 30_000) continue
    loggedAt = performance.now()
    const minute = ((loggedAt - startedAt) / 60_000).toFixed(1)
    console.log(
      `${minute} min: ${injected.length} faults, ${traffic.broadcasts.length} broadcasts, ${traffic.singleTexts.length} single texts`,
    )
  }
  return injected
}
