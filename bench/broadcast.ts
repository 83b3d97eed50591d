// The main job on the real product: import a list, send one text to it, and wait until the last receipt is recorded.
// All roles, PostgreSQL and the simulator run as they do after `npm start`, on a data directory of their own, at zero
// simulated latency. Prints tables and a line of JSON, and fails when a text is missing, doubled or miscounted.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { readRawFile } from '../server/src/simulator/raw-file.ts'
import { profileClock, profileEnv, topFunctions } from './lib/cpu-profile.ts'
import { type House, startHouse } from './lib/house.ts'
import { subscribersCsv } from './lib/numbers.ts'
import { canLook, type Usage, Watch } from './lib/processes.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { DatabaseWatch } from './lib/statements.ts'

const pollMs = 100
const profiledRoles = ['gateway', 'worker', 'simulator']

type Options = {
  recipients: number
  broadcasts: number
  binds: number
  window: number
  content: string
  keep: boolean
  profile: boolean
}

type ImportFigures = {
  uploadSeconds: number
  applySeconds: number
  rowsPerSecond: number
  uploadRowsPerSecond: number
  applyRowsPerSecond: number
}

type SendFigures = {
  secondsToFirstSubmit: number
  secondsToLastSubmit: number
  secondsToLastReceipt: number
  messagesPerSecond: number
}

/** What no process may hold for itself, however long the list is. */
const memoryLimitMb = 300

/** Measures as the command line says; throws when the outcome is not what it must be. */
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
  const house = await startHouse({ binds, window, env: options.profile ? profileEnv(profiles) : {} })
  const database = new DatabaseWatch(house.databaseUrl)
  const watch = new Watch({
    roots: [house.pid],
    nameOf: (pid, command) => nameProcess(command, database.nameOf(pid)),
  })
  try {
    if (options.profile) await DatabaseWatch.countStatements(house.databaseUrl)
    await database.start()
    watch.start()
    watch.reset()
    const { list } = await house.call<{ list: { id: number } }>('POST', '/lists', { list: { name: 'Bench' } })
    const imported = await importNumbers(house, list.id, recipients)
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
      sent.push(await broadcast(house, database, list.id, options))
      sendUsage.push(watch.usage())
      printTable(`Broadcast ${n + 1}`, [sendRow(sent[n] as SendFigures)])
      printUsage(`Processes during broadcast ${n + 1}`, sendUsage[n] as Usage[])
    }
    const profileTo = profileClock()
    watch.stop()
    if (options.profile) await printStatements(database)
    await database.stop()
    await house.stop()
    if (options.profile) printFunctions(profiles, profileFrom, profileTo)
    const usage = { import: importUsage, broadcasts: sendUsage }
    const figures = {
      bench: 'broadcast',
      machine,
      recipients,
      binds,
      window,
      import: imported,
      broadcasts: sent,
      usage,
    }
    const heavy = [...importUsage, ...sendUsage.flat()].filter((usage) => usage.peakMb > memoryLimitMb)
    if (heavy.length > 0) process.exitCode = 1
    for (const { name, peakMb } of heavy) console.log(`\nToo much private memory: ${name}, ${round(peakMb, 1)} MB`)
    console.log(`\n${JSON.stringify(figures, (_key, value) => (typeof value === 'number' ? round(value, 3) : value))}`)
  } finally {
    watch.stop()
    if (options.keep) console.log(`Kept: ${house.dataDir}`)
    else house.remove()
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
    },
  })
  const { recipients, broadcasts, binds, window, ...rest } = values
  return {
    ...rest,
    recipients: Number(recipients),
    broadcasts: Number(broadcasts),
    binds: Number(binds),
    window: Number(window),
  }
}

type ImportView = { import: { id: number; status: string; added: number; error: string | null } }

async function importNumbers(house: House, listId: number, recipients: number): Promise<ImportFigures> {
  const startedAt = performance.now()
  const response = await fetch(`${house.url}/api/v2/lists/${listId}/imports`, {
    method: 'POST',
    headers: { authorization: house.authorization, 'content-type': 'text/csv' },
    body: Readable.toWeb(Readable.from(toBytes(subscribersCsv(recipients)))) as ReadableStream<Uint8Array>,
    duplex: 'half',
  })
  const text = await response.text()
  if (response.status !== 202) throw new Error(`the import was answered with ${response.status}: ${text}`)
  const { id } = (JSON.parse(text) as ImportView).import
  const uploadedAt = performance.now()
  for (;;) {
    const { import: now } = await house.call<ImportView>('GET', `/lists/${listId}/imports/${id}`)
    if (now.status === 'failed') throw new Error(`the import failed: ${now.error}`)
    if (now.status === 'done') {
      expectEqual('rows added by the import', now.added, recipients)
      break
    }
    await sleep(pollMs)
  }
  const uploadSeconds = (uploadedAt - startedAt) / 1_000
  const applySeconds = (performance.now() - uploadedAt) / 1_000
  return {
    uploadSeconds,
    applySeconds,
    uploadRowsPerSecond: recipients / uploadSeconds,
    applyRowsPerSecond: recipients / applySeconds,
    rowsPerSecond: recipients / (uploadSeconds + applySeconds),
  }
}

function* toBytes(blocks: Iterable<string>): Generator<Buffer> {
  for (const block of blocks) yield Buffer.from(block)
}

type MessageView = {
  message: { status: string; recipient_count: number; success_count: number; pending_count: number }
}

/** Sends one text to the list and waits until no recipient is open, watching as a client would. */
async function broadcast(
  house: House,
  database: DatabaseWatch,
  listId: number,
  { recipients, content }: Options,
): Promise<SendFigures> {
  const postedAt = Date.now()
  const created = await house.call<{ message: { id: number } }>('POST', `/lists/${listId}/messages`, {
    message: { content: `${content} ${postedAt % 1_000}` },
  })
  const { id } = created.message
  let closedAt = 0
  for (let quietSince = postedAt, lastSuccess = -1; closedAt === 0; await sleep(pollMs)) {
    const { message } = await house.call<MessageView>('GET', `/lists/${listId}/messages/${id}`)
    const now = Date.now()
    if (message.status === 'sent' && message.pending_count === 0) closedAt = now
    if (message.success_count !== lastSuccess) quietSince = now
    lastSuccess = message.success_count
    if (now - quietSince > 60_000) throw new Error(`nothing has moved for a minute: ${JSON.stringify(message)}`)
  }
  const { first, last } = checkRawFile(house.rawFile, postedAt, recipients)
  await checkLog(database, id, recipients)
  const secondsToLastReceipt = (closedAt - postedAt) / 1_000
  return {
    secondsToFirstSubmit: (first - postedAt) / 1_000,
    secondsToLastSubmit: (last - postedAt) / 1_000,
    secondsToLastReceipt,
    messagesPerSecond: recipients / secondsToLastReceipt,
  }
}

/** What the simulator took since then: one text per recipient, no more, no less. */
function checkRawFile(path: string, since: number, recipients: number): { first: number; last: number } {
  const destinations = new Set<string>()
  let lines = 0
  let first = Number.POSITIVE_INFINITY
  let last = 0
  for (const { time, destination } of readRawFile(path)) {
    if (time < since) continue
    lines++
    destinations.add(destination)
    first = Math.min(first, time)
    last = Math.max(last, time)
  }
  expectEqual('texts that the simulator took', lines, recipients)
  expectEqual('numbers that it took them for', destinations.size, recipients)
  return { first, last }
}

/** The log has every recipient as delivered, and the counters say what the log says. */
async function checkLog(database: DatabaseWatch, messageId: number, recipients: number): Promise<void> {
  const counted = await database.one<Record<string, number>>(
    /* sql */ `
    select count(*)::int as audience, (count(*) filter (where state = 'delivered'))::int as delivered
      from message_log where message_id = $1`,
    [messageId],
  )
  const counters = await database.one<Record<string, number>>(
    /* sql */ `
    select audience::int, delivered::int,
           (queued + submitting + sent + unknown + bounced + expired + suppressed + cancelled)::int as others
      from message_counters where message_id = $1`,
    [messageId],
  )
  expectEqual('rows of the log', counted.audience, recipients)
  expectEqual('rows of the log that are delivered', counted.delivered, recipients)
  expectEqual('the audience by its counter', counters.audience, recipients)
  expectEqual('the delivered by their counter', counters.delivered, recipients)
  expectEqual('all others by their counters', counters.others, 0)
}

function expectEqual(what: string, found: number | undefined, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found}, and should be ${expected}`)
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
  if (!canLook) {
    console.log(`\n${title}: unknown, because this system has no /proc`)
    return
  }
  const isIdle = ({ name, cpuSeconds }: Usage) => name.startsWith('postgres:') && cpuSeconds < 0.05
  const rows = [
    ...usage.filter((kind) => !isIdle(kind)),
    summed('postgres: those that rest', usage.filter(isIdle)),
    summed(
      'PostgreSQL in all',
      usage.filter(({ name }) => name.startsWith('postgres:')),
    ),
    summed('all', usage),
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

function summed(name: string, usage: Usage[]): Usage {
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
      'Statements by their time in the server',
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
    'Statements by their share of the samples',
    rows.map(({ statement, share, waits }) => ({ statement, '%': round(share * 100, 1), 'at that time': waits })),
  )
}

function printFunctions(profiles: string, from: number, to: number): void {
  for (const role of profiledRoles) {
    const rows = topFunctions(profiles, role, from, to)
    if (rows.length === 0) continue
    printTable(
      `Functions of the ${role} by their own time`,
      rows.map(({ place, share, seconds }) => ({ '%': round(share * 100, 1), s: round(seconds, 2), function: place })),
    )
  }
  console.log(`\nProfiles for a browser's developer tools: ${profiles}`)
}
