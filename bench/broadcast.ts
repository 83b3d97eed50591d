// The main task of the product: imports a list, sends it a broadcast, and waits until the last receipt is stored. All
// roles, PostgreSQL and the simulator run as after `npm start`, with a separate data directory and no simulated latency.
// Prints tables and a line of JSON; fails if a text is missing, sent twice or counted incorrectly.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { profileClock, profileEnv, topFunctions } from './lib/cpu-profile.ts'
import { startInstallation } from './lib/installation.ts'
import { findKannel, runKannel } from './lib/kannel.ts'
import { canReadProcesses, type Usage, Watch } from './lib/processes.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { DatabaseWatch } from './lib/statements.ts'
import { type ImportFigures, makeList, type SendFigures, sendToList } from './lib/texting.ts'

const profiledRoles = ['gateway', 'worker', 'simulator']

type Options = {
  recipients: number
  broadcasts: number
  binds: number
  window: number
  content: string
  keep: boolean
  profile: boolean
  /** Number of messages for Kannel; 0 skips it. */
  kannel: number
}

/** Limit of the private memory of each process, for a list of any size (promise B7). */
const memoryLimitMb = 300

/**
 * Runs the measurement with these command-line arguments; throws if texts are missing, sent twice or counted
 * incorrectly.
 */
export async function run(args: string[] = process.argv.slice(3)): Promise<void> {
  const options = readOptions(args)
  const machine = describeMachine()
  const { recipients, broadcasts, binds, window } = options
  console.log(
    `${recipients.toLocaleString('en')} recipients, ${broadcasts} broadcast(s), window ${binds} binds x ${window}; ` +
      `${machine.cores} cores, ${machine.model}, load ${machine.loadBefore}, node ${machine.node}`,
  )
  const profiles = join(process.cwd(), 'bench', 'profiles', String(process.pid))
  if (options.profile) mkdirSync(profiles, { recursive: true })
  const installation = await startInstallation({ binds, window, env: options.profile ? profileEnv(profiles) : {} })
  const database = new DatabaseWatch(installation.databaseUrl)
  const watch = new Watch({
    roots: [installation.pid],
    nameOf: (pid, command) => nameProcess(command, database.nameOf(pid)),
  })
  try {
    if (options.profile) await DatabaseWatch.countStatements(installation.databaseUrl)
    await database.start()
    watch.start()
    watch.reset()
    const { listId, imported } = await makeList(installation, recipients)
    const importUsage = watch.usage()
    printTable('Import', [importRow(imported)])
    printUsage('Processes during the import', importUsage)

    const sent: SendFigures[] = []
    const sendUsage: Usage[][] = []
    const profileFrom = profileClock()
    if (options.profile) {
      await database.resetCosts()
      database.sampleStatements()
    }
    for (let n = 0; n < broadcasts; n++) {
      watch.reset()
      sent.push(await sendToList(installation, database, listId, options))
      sendUsage.push(watch.usage())
      printTable(`Broadcast ${n + 1}`, [sendRow(sent[n] as SendFigures)])
      printUsage(`Processes during broadcast ${n + 1}`, sendUsage[n] as Usage[])
    }
    const profileTo = profileClock()
    watch.stop()
    if (options.profile) await printStatements(database)
    await database.stop()
    await installation.stop()
    if (options.profile) printFunctions(profiles, profileFrom, profileTo)
    const kannel = await compareWithKannel(options, sent.at(-1) as SendFigures)
    const usage = { import: importUsage, broadcasts: sendUsage }
    const figures = {
      bench: 'broadcast',
      machine,
      recipients,
      binds,
      window,
      import: imported,
      broadcasts: sent,
      kannel,
      usage,
    }
    const heavy = [...importUsage, ...sendUsage.flat()].filter((usage) => usage.peakMb > memoryLimitMb)
    if (heavy.length > 0) process.exitCode = 1
    for (const { name, peakMb } of heavy) console.log(`\nToo much private memory: ${name}, ${round(peakMb, 1)} MB`)
    console.log(`\n${JSON.stringify(figures, (_key, value) => (typeof value === 'number' ? round(value, 3) : value))}`)
  } finally {
    watch.stop()
    if (options.keep) console.log(`Data directory: ${installation.dataDir}`)
    else installation.remove()
  }
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      recipients: { type: 'string', default: '679571' },
      broadcasts: { type: 'string', default: '1' },
      binds: { type: 'string', default: '4' },
      window: { type: 'string', default: '100' },
      content: {
        type: 'string',
        default: 'Doors open at seven tonight. Bring a friend and this text. Reply STOP to end',
      },
      keep: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      kannel: { type: 'string', default: '50000' },
    },
  })
  const { recipients, broadcasts, binds, window, kannel, ...rest } = values
  return {
    ...rest,
    recipients: Number(recipients),
    broadcasts: Number(broadcasts),
    binds: Number(binds),
    window: Number(window),
    kannel: Number(kannel),
  }
}

/** Runs Kannel on the same task, and returns its figures with the ratio of our speed to Kannel's. */
async function compareWithKannel(options: Options, ours: SendFigures) {
  const { kannel: messages, binds, window, content } = options
  if (messages === 0) return
  if (!findKannel()) {
    console.log('\nKannel is not installed (Debian: apt-get install kannel): no comparison.')
    return
  }
  const figures = await runKannel({ messages, binds, window, content })
  const ratio = ours.messagesPerSecond / figures.messagesPerSecond
  printTable('Kannel with its store file and receipts, with a queue filled beforehand', [
    {
      messages,
      'last submit s': figures.secondsToLastSubmit,
      'last receipt s': figures.secondsToLastReceipt,
      'messages/s': figures.messagesPerSecond,
      'Carillon / Kannel': round(ratio, 1),
    },
  ])
  return { ...figures, ratio }
}

function nameProcess(command: string, application: string | undefined): string {
  if (command.startsWith('postgres:')) return `postgres: ${application?.replace('carillon ', '') ?? 'other'}`
  if (/\bpostgres -D/.test(command)) return 'postgres: postmaster'
  const script = /\/bin\/(\w+)\.ts/.exec(command)?.[1]
  return script === 'start' ? 'supervisor' : (script ?? '')
}

function importRow(figures: ImportFigures) {
  return {
    'upload s': figures.uploadSeconds,
    'apply s': figures.applySeconds,
    'upload rows/s': figures.uploadRowsPerSecond,
    'apply rows/s': figures.applyRowsPerSecond,
    'rows/s end to end': figures.rowsPerSecond,
  }
}

function sendRow(figures: SendFigures) {
  return {
    'first submit s': figures.secondsToFirstSubmit,
    'last submit s': figures.secondsToLastSubmit,
    'last receipt s': figures.secondsToLastReceipt,
    'messages/s': figures.messagesPerSecond,
  }
}

function printUsage(title: string, usage: Usage[]): void {
  if (!canReadProcesses) {
    console.log(`\n${title}: unknown, because this system has no /proc`)
    return
  }
  const isIdle = ({ name, cpuSeconds }: Usage) => name.startsWith('postgres:') && cpuSeconds < 0.05
  const rows = [
    ...usage.filter((kind) => !isIdle(kind)),
    sumUsage('postgres: idle', usage.filter(isIdle)),
    sumUsage(
      'PostgreSQL, total',
      usage.filter(({ name }) => name.startsWith('postgres:')),
    ),
    sumUsage('total', usage),
  ]
  printTable(
    title,
    rows.map(({ name, processes, cpuSeconds, peakMb }) => ({
      process: name,
      count: processes,
      'CPU s': round(cpuSeconds, 2),
      'largest private MB': round(peakMb, 1),
    })),
  )
}

function sumUsage(name: string, usage: Usage[]): Usage {
  return {
    name,
    processes: usage.reduce((sum, kind) => sum + kind.processes, 0),
    cpuSeconds: usage.reduce((sum, kind) => sum + kind.cpuSeconds, 0),
    peakMb: Math.max(0, ...usage.map((kind) => kind.peakMb)),
  }
}

async function printStatements(database: DatabaseWatch): Promise<void> {
  const costs = await database.costs()
  if (costs) {
    printTable(
      'Statements by execution time',
      costs.map(({ statement, calls, seconds, rows, walMb }) => ({
        statement,
        calls,
        s: round(seconds, 2),
        'ms each': round((seconds * 1_000) / calls, 2),
        rows,
        'WAL MB': round(walMb, 1),
      })),
    )
  }
  const rows = database.statements().slice(0, 15)
  printTable(
    'Statements by share of samples',
    rows.map(({ statement, share, waits }) => ({ statement, '%': round(share * 100, 1), waits: waits })),
  )
}

function printFunctions(profiles: string, from: number, to: number): void {
  for (const role of profiledRoles) {
    const rows = topFunctions(profiles, role, from, to)
    if (rows.length === 0) continue
    printTable(
      `Functions of the ${role} by self time`,
      rows.map(({ location, share, seconds }) => ({
        '%': round(share * 100, 1),
        s: round(seconds, 2),
        function: location,
      })),
    )
  }
  console.log(`\nProfiles (open them in a browser's developer tools): ${profiles}`)
}
