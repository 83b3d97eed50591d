import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { waitFor } from '../wait-for.ts'
import { type Blow, blows, broadcastUnderFire, faultsOf, phonesFrom, randomFrom, shuffled, tableOf } from './blows.ts'
import { House } from './house.ts'
import { isQuiet, judge } from './judge.ts'
import { Traffic } from './traffic.ts'
import { troubles } from './troubles.ts'

// `npm run torture`: the long form of the crash test. Every process is killed and a gateway frozen during one broadcast,
// then log and raw file are compared. With `-- --minutes 10` it is a whole day of that: broadcasts, texts to single
// people, STOPs and opt-outs over the API, and random blows all the time. The last line says PASS or FAIL, and the seed.

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

// the houses are swept away when the process exits, which it does not do by itself at a signal
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

/** One broadcast, every blow once. */
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

/** So many minutes of everything at once, and then the reckoning. */
async function endure(seed: number, minutes: number): Promise<boolean> {
  const random = randomFrom(seed)
  let house: House | undefined
  try {
    const [binds, window] = [2, 50]
    house = await House.open({ binds, window, latencyMs: 100, leaseMs: 2_000, responseDeadlineMs: 3_000, wire: true })
    console.log(`seed ${seed}: ${minutes} minutes, 2 binds with a window of 50`)
    const traffic = new Traffic(house, { towns: 6, people: 3_000, singlesPerSecond: 8, random })
    await traffic.start()
    const struck = await strikeAtRandom(house, traffic, minutes, random)
    await traffic.stop()
    const faults: string[] = []
    const client = await waitFor(() => (house as House).connect(), { timeoutMs: 30_000, what: 'the database' })
    await waitFor(async () => ((await client.query(isQuiet)).rowCount ?? 0) > 0, {
      timeoutMs: quietMs,
      what: 'everything to be settled',
    }).catch((error: Error) => faults.push(error.message))
    const verdict = await judge(house, client, traffic)
    faults.push(...verdict.faults)
    await client.end()
    const exitCode = await house.stop()
    if (exitCode !== 0) faults.push(`the supervisor ended with code ${exitCode}`)
    const doubtful = struck.filter(({ leavesDoubt }) => leavesDoubt).length
    const allowed = doubtful * 2 * window * binds
    const unknown = verdict.states.unknown ?? 0
    if (unknown > allowed) faults.push(`${unknown} rows are unknown for good, ${allowed} are allowed`)
    const tally = new Map<string, number>()
    for (const { name } of struck) tally.set(name, (tally.get(name) ?? 0) + 1)
    console.log(`${[...tally].map(([name, n]) => `${String(n).padStart(4)} x ${name}`).join('\n')}
${traffic.broadcasts.length} broadcasts, ${traffic.singles.length} texts to single people, ${verdict.texts} texts taken by the carrier
${traffic.departures.length} people left, ${verdict.promised} were told that it is in force
in the end ${JSON.stringify(verdict.states)}; ${allowed} may be unknown`)
    if (faults.length > 0) console.log(`${house.logTails()}\n${faults.slice(0, 40).join('\n')}`)
    console.log(`${faults.length === 0 ? 'PASS' : 'FAIL'} seed ${seed}`)
    return faults.length === 0
  } catch (error) {
    console.error(error, `\n${house?.logTails()}\nFAIL seed ${seed}`)
    return false
  } finally {
    house?.endEverything()
  }
}

async function strikeAtRandom(house: House, traffic: Traffic, minutes: number, random: () => number): Promise<Blow[]> {
  const all: Blow[] = [...Object.values(blows), ...troubles]
  const struck: Blow[] = []
  const begun = performance.now()
  for (let told = begun; performance.now() - begun < minutes * 60_000; ) {
    await delay(1_000 + 4_000 * random())
    const blow = all[Math.floor(random() * all.length)] as Blow
    try {
      // it counts as soon as it may have done something
      await blow.strike(house, () => struck.push(blow))
      await waitFor(() => house.isReady(), { timeoutMs: 60_000, what: `a house that is ready after ${blow.name}` })
    } catch (error) {
      // whom it was to hit may just be down; a house that never gets up again is found out below
      if (!struck.includes(blow)) console.log(`${blow.name} missed: ${(error as Error).message}`)
      else console.log(`${blow.name}: ${(error as Error).message}`)
      await waitFor(() => house.isReady(), { timeoutMs: 60_000, what: `a house that is ready after ${blow.name}` })
    }
    if (performance.now() - told < 30_000) continue
    told = performance.now()
    const minute = ((told - begun) / 60_000).toFixed(1)
    console.log(
      `${minute} min: ${struck.length} blows, ${traffic.broadcasts.length} broadcasts, ${traffic.singles.length} single texts`,
    )
  }
  return struck
}
