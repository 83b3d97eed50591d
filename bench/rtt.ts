// How much of a carrier's window is used when the carrier is far away: a broadcast through the whole product, the
// simulator answering each submit_sm after so many milliseconds, at different windows. A window of w texts and a round
// trip of r seconds give w/r texts a second at best; asked are 95 % of that.

import { parseArgs } from 'node:util'
import { startHouse } from './lib/house.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { checkRawFile, makeList, startBroadcast, untilClosed } from './lib/texting.ts'

const aim = 0.95

type Figures = {
  window: number
  binds: number
  recipients: number
  seconds: number
  perSecond: number
  best: number
  share: number
}

/** Measures each window with one bind and with two; the exit code is 1 when one of them stays below 95 %. */
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
      const found: Figures[] = []
      for (let n = 0; n < runs; n++) found.push(await measure({ ms, window, binds, seconds }))
      found.sort((a, b) => a.share - b.share)
      const median = found[Math.floor(found.length / 2)] as Figures
      figures.push(median)
      console.log(
        `window ${window}, ${binds} bind(s): ${found.map(({ share }) => percent(share)).join(', ')} of ${median.best}/s`,
      )
    }
  }
  printTable(
    `Texts a second against window/round trip (${ms} ms)`,
    figures.map(({ share, ...figure }) => ({
      ...figure,
      perSecond: round(figure.perSecond, 1),
      share: percent(share),
      met: share >= aim ? 'yes' : 'NO',
    })),
  )
  console.log(`\n${JSON.stringify({ bench: 'rtt', ms, machine, aim, figures })}`)
  if (figures.some(({ share }) => share < aim)) process.exitCode = 1
}

type Setup = { ms: number; window: number; binds: number; seconds: number }

async function measure({ ms, window, binds, seconds }: Setup): Promise<Figures> {
  const best = (binds * window * 1_000) / ms
  const recipients = Math.ceil(best * seconds)
  const house = await startHouse({ binds, window, env: { CARILLON_SIMULATOR_LATENCY_MS: String(ms) } })
  try {
    const { listId } = await makeList(house, recipients)
    const { id, postedAt } = await startBroadcast(house, listId, 'The river is at its highest tonight.')
    await untilClosed(house, listId, id)
    const { first, last } = checkRawFile(house.rawFile, postedAt, recipients)
    // the first window goes out at once: between the first text and the last all others are taken
    const perSecond = ((recipients - binds * window) * 1_000) / (last - first)
    await house.stop()
    return { window, binds, recipients, seconds: (last - first) / 1_000, perSecond, best, share: perSecond / best }
  } finally {
    house.remove()
  }
}

const numbers = (list: string) => list.split(',').map(Number)
const percent = (share: number) => `${round(share * 100, 1)} %`
