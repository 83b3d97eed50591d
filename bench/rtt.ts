// Use of the window at a carrier with a long round trip: a broadcast through the whole product, with a simulator that
// delays each submit_sm_resp, with several windows. A window of w texts and a round trip of r seconds permit w/r texts per
// second; the goal is 95 % of that.

import { parseArgs } from 'node:util'
import { startInstallation } from './lib/installation.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { checkRawFile, makeList, startBroadcast, waitUntilClosed } from './lib/texting.ts'

const goal = 0.95

type Figures = {
  window: number
  binds: number
  recipients: number
  seconds: number
  perSecond: number
  limit: number
  share: number
}

/** Measures each window with each number of binds; sets exit code 1 if one of them is below 95 %. */
export async function run(args: string[] = process.argv.slice(3)): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      ms: { type: 'string', default: '50' },
      window: { type: 'string', default: '10,100' },
      binds: { type: 'string', default: '1,2' },
      seconds: { type: 'string', default: '20' },
      runs: { type: 'string', default: '1' },
    },
  })
  const [ms, seconds, runs] = [Number(values.ms), Number(values.seconds), Number(values.runs)]
  const machine = describeMachine()
  console.log(`round trip ${ms} ms; ${machine.cores} cores, ${machine.model}, load ${machine.loadBefore}`)
  const figures: Figures[] = []
  for (const binds of numbers(values.binds)) {
    for (const window of numbers(values.window)) {
      const results: Figures[] = []
      for (let n = 0; n < runs; n++) results.push(await measure({ ms, window, binds, seconds }))
      results.sort((a, b) => a.share - b.share)
      const median = results[Math.floor(results.length / 2)] as Figures
      figures.push(median)
      console.log(
        `window ${window}, ${binds} bind(s): ${results.map(({ share }) => percent(share)).join(', ')} of ${median.limit}/s`,
      )
    }
  }
  printTable(
    `Texts per second, compared with window / round trip (${ms} ms)`,
    figures.map(({ share, ...figure }) => ({
      ...figure,
      perSecond: round(figure.perSecond, 1),
      share: percent(share),
      met: share >= goal ? 'yes' : 'NO',
    })),
  )
  console.log(`\n${JSON.stringify({ bench: 'rtt', ms, machine, goal, figures })}`)
  if (figures.some(({ share }) => share < goal)) process.exitCode = 1
}

type Setup = { ms: number; window: number; binds: number; seconds: number }

async function measure({ ms, window, binds, seconds }: Setup): Promise<Figures> {
  const limit = (binds * window * 1_000) / ms
  const recipients = Math.ceil(limit * seconds)
  const installation = await startInstallation({ binds, window, env: { CARILLON_SIMULATOR_LATENCY_MS: String(ms) } })
  try {
    const { listId } = await makeList(installation, recipients)
    const { id, postedAt } = await startBroadcast(installation, listId, 'The river is at its highest tonight.')
    await waitUntilClosed(installation, listId, id)
    const { first, last } = checkRawFile(installation.rawFile, postedAt, recipients)
    // the first window is sent immediately, so the time between the first and last text covers the other texts
    const perSecond = ((recipients - binds * window) * 1_000) / (last - first)
    await installation.stop()
    return { window, binds, recipients, seconds: (last - first) / 1_000, perSecond, limit, share: perSecond / limit }
  } finally {
    installation.remove()
  }
}

const numbers = (list: string) => list.split(',').map(Number)
const percent = (share: number) => `${round(share * 100, 1)} %`
