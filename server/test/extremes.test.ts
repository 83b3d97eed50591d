import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { closeOverdue } from '../src/broadcasts/close.ts'
import { capNames } from '../src/config/caps.ts'
import { type Setting, type SettingName, settings } from '../src/config/settings.ts'
import { makeApp } from '../src/http/app.ts'
import { makeCaller } from './api.ts'
import { isPortFree } from './carillon-process.ts'
import { startSending } from './sending.ts'
import { waitFor } from './wait-for.ts'

// Each environment variable with a number is used at its limits: the API, a gateway and the sweeps run with them, and a message
// reaches its end. The table below has the variables whose parser does not state a range.

type Limits = { min: string; max: string }

/** Variables that contain numbers within other text. */
const withNumbers: Partial<Record<SettingName, Limits>> = {
  CARILLON_SMPP_URL: {
    min: 'smpp://carillon:swordfish@127.0.0.1:1?window=1&mps=1&binds=1',
    max: 'smpp://carillon:swordfish@127.0.0.1:65535?window=1000&mps=100000&binds=64',
  },
  CARILLON_ACCOUNT_RATE_LIMIT: { min: '1/3600', max: '1000000/3600' },
  CARILLON_CAPS: {
    min: capNames.map((name) => `${name}=0`).join(),
    max: capNames.map((name) => `${name}=9999999`).join(),
  },
}

/** Variables without a number. */
const withoutNumbers = new Set<SettingName>([
  ...(['CARILLON_MODE', 'CARILLON_HOST', 'CARILLON_PUBLIC_URL', 'CARILLON_LINK_URL'] as const),
  'CARILLON_TRUSTED_PROXIES',
  ...([
    'CARILLON_DATA_DIR',
    'CARILLON_FILES_DIR',
    'DATABASE_URL',
    'CARILLON_SECRET_KEY',
    'CARILLON_RATE_LIMIT',
  ] as const),
  ...(['CARILLON_ALLOW_PRIVATE_URLS', 'CARILLON_LOOKUP_URL', 'CARILLON_LOOKUP_TOKEN'] as const),
  ...([
    'CARILLON_METRICS_TOKEN',
    'CARILLON_LOG_LEVEL',
    'CARILLON_LOG_FILE',
    'CARILLON_EXTRA_CA_FILE',
    'CARILLON_SANDBOX_EMAIL',
    'CARILLON_SANDBOX_API_KEY',
  ] as const),
  ...(['CARILLON_S3_ENDPOINT', 'CARILLON_S3_BUCKET', 'CARILLON_S3_REGION', 'CARILLON_S3_PREFIX'] as const),
  ...(['CARILLON_S3_STYLE', 'CARILLON_S3_KEY_ID', 'CARILLON_S3_SECRET'] as const),
  ...(['CARILLON_SIMULATOR_TLS_FILE', 'CARILLON_SIMULATOR_URL', 'CARILLON_SIMULATOR_RAW_FILE'] as const),
])

/** Each one would end or delay all texts at its limit, so it has a test of its own. */
const alone: SettingName[] = ['CARILLON_SIMULATOR_LATENCY_MS', 'CARILLON_SIMULATOR_RECEIPT_DELAY_MS']

const names = Object.keys(settings) as SettingName[]

function limitsOf(name: SettingName): Limits | undefined {
  const { range } = (settings[name] as Setting<unknown>).parse
  return range ? { min: String(range.min), max: String(range.max) } : withNumbers[name]
}

/** Returns all variables with a number at this limit; only the SMPP port is used at its own, because ports must be free. */
async function environmentAt(limit: keyof Limits): Promise<Record<string, string>> {
  const variables = names.flatMap((name) => {
    const value = limitsOf(name)?.[limit]
    return value === undefined || alone.includes(name) || name.endsWith('_PORT') ? [] : [[name, value]]
  })
  const hasPort = limit === 'max' && (await isPortFree(65_535))
  return { ...Object.fromEntries(variables), ...(hasPort && { CARILLON_SIMULATOR_SMPP_PORT: '65535' }) }
}

type Installation = Awaited<ReturnType<typeof start>>

const toClose: (() => unknown)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
})

/** Starts an installation with these variables and an operator's account, with the lines that it logs as errors. */
async function start(env: Record<string, string>) {
  const errors: unknown[] = []
  const log = pino({ level: 'error' }, { write: (line) => void errors.push(JSON.parse(line)) })
  const sending = await startSending({ log, env })
  toClose.push(() => sending.stop())
  const app = await makeApp(sending.rt)
  toClose.push(() => app.close())
  const owner = await makeCaller(sending.db, app, true)
  await sending.startGateway()
  return { sending, owner, errors }
}

/** Sends a message to two phones, of which the second one never gets a receipt. */
async function broadcastToTwo({ sending }: Installation): Promise<number> {
  await sending.subscribe(2_065_560_001, 2_065_550_103)
  return sending.broadcast()
}

/** Runs the closing of messages at a time from now, and returns whether the message is closed. */
async function isClosedAfter({ sending }: Installation, ms: number, messageId: number): Promise<boolean> {
  const at = new Date(Date.now() + ms)
  await closeOverdue({ ...sending.rt, clock: { now: () => at } })
  const row = await sending.db.one<{ closed: boolean }>(
    'closed',
    'select closed_at is not null as closed from messages where id = $1',
    [messageId],
  )
  return row.closed
}

test('each environment variable has limits or no number', () => {
  const unlisted = names.filter((name) => (limitsOf(name) === undefined) !== withoutNumbers.has(name))
  expect(unlisted).toEqual([])
})

/** Waits until all messages are sent, and checks that this one is closed after the receipt deadline. */
async function expectClosing(installation: Installation, messageId: number): Promise<void> {
  const { db, rt } = installation.sending
  await waitFor(async () => (await db.exec('unsent', `select from messages where status <> 'sent'`)) === 0)
  const { receiptDeadlineMs } = rt.config.send
  if (receiptDeadlineMs > 60_000)
    expect(await isClosedAfter(installation, receiptDeadlineMs - 60_000, messageId)).toBe(false)
  expect(await isClosedAfter(installation, receiptDeadlineMs + 1_000, messageId)).toBe(true)
  expect(installation.errors).toEqual([])
}

test.each(['min', 'max'] as const)(
  'all environment variables at their %s: a message is sent and closed',
  async (limit) => {
    const service = createServer((_req, res) => res.end(JSON.stringify({ line_type: 'mobile', carrier: 383 })))
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
    toClose.push(() => service.close())
    const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`
    const env = { ...(await environmentAt(limit)), CARILLON_RATE_LIMIT: 'default', CARILLON_LOOKUP_URL: url }
    const installation = await start(env)
    const { sending, owner } = installation
    const transactional_message = { number: '2065560003', content: 'Cedar Valley Pantry: your box is ready.' }
    const text = await owner.post('/transactional_messages', { transactional_message })
    expect(text.status).toBe(200)
    // the account may make one call per hour at least
    expect((await owner.get('/accounts/me')).status).toBe(limit === 'min' ? 429 : 200)
    const broadcast = await broadcastToTwo(installation)
    await sending.waitForCounters(broadcast, { delivered: 1, queued: 0, submitting: 0 })
    await sending.waitForCounters((text.body.transactional_message as { id: number }).id, { delivered: 1 })
    await expectClosing(installation, broadcast)
  },
)

test('the longest latency of the simulator: texts end unknown at the response deadline', async () => {
  const CARILLON_SIMULATOR_LATENCY_MS = limitsOf('CARILLON_SIMULATOR_LATENCY_MS')?.max ?? ''
  const installation = await start({ CARILLON_SIMULATOR_LATENCY_MS, CARILLON_RESPONSE_DEADLINE_MS: '100' })
  const broadcast = await broadcastToTwo(installation)
  await installation.sending.waitForCounters(broadcast, { unknown: 2 })
  await expectClosing(installation, broadcast)
})

test('the longest delay of receipts of the simulator: texts stay sent until the receipt deadline', async () => {
  const CARILLON_SIMULATOR_RECEIPT_DELAY_MS = limitsOf('CARILLON_SIMULATOR_RECEIPT_DELAY_MS')?.max ?? ''
  const installation = await start({ CARILLON_SIMULATOR_RECEIPT_DELAY_MS })
  const broadcast = await broadcastToTwo(installation)
  await installation.sending.waitForCounters(broadcast, { sent: 2 })
  await expectClosing(installation, broadcast)
})
