// Kannel 1.4.5, the best-known open-source gateway: its bearerbox is an ESME of our simulator; its smsbox accepts texts
// over HTTP, calls back with delivery reports, and forwards texts of handsets.

import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type Checks, expectFields, waitUntil } from './checks.ts'
import { type PeerSimulator, startPeerSimulator } from './peer-simulator.ts'
import { freePort, Program } from './programs.ts'

type Ports = { admin: number; smsbox: number; sendsms: number; callback: number }

/** A callback of Kannel: a delivery report or an MO. */
type Callback = { path: string } & Record<string, string>

const DELIVERED = '1'
const FAILED = '2'
/** Kannel sends nothing for 15 s after each ESME_RTHROTTLED. */
const THROTTLED_TIMEOUT_MS = 45_000
const phone = '2125550142'

export async function checkKannel(checks: Checks): Promise<void> {
  const simulator = await startPeerSimulator()
  const callbacks: Callback[] = []
  const listener = createServer((request, response) => {
    callbacks.push(readCallback(request.url ?? '/'))
    response.end()
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const ports: Ports = {
    admin: await freePort(),
    smsbox: await freePort(),
    sendsms: await freePort(),
    callback: (listener.address() as { port: number }).port,
  }
  const config = join(simulator.folder, 'kannel.conf')
  await writeFile(config, configuration(simulator, ports))
  const bearerbox = new Program('bearerbox', [config])
  let smsbox: Program | undefined
  try {
    const hasStarted = () => waitUntil(() => isReachable(`http://127.0.0.1:${ports.admin}/status.txt`))
    if (!(await checks.check('Kannel starts', hasStarted))) return
    smsbox = new Program('smsbox', [config])
    await runChecks(checks, simulator, ports, callbacks)
    await checks.check('Kannel unbinds when it stops', async () => {
      await smsbox?.stop()
      await bearerbox.stop()
      return waitUntil(async () => (await simulator.state()).binds.length === 0)
    })
  } finally {
    await smsbox?.stop()
    await bearerbox.stop()
    listener.close()
    await simulator.stop()
  }
}

async function runChecks(checks: Checks, simulator: PeerSimulator, ports: Ports, callbacks: Callback[]): Promise<void> {
  const send = (to: string, text: string, options: Record<string, string> = {}) => sendText(ports, to, text, options)
  const report = (tag: string) => waitUntil(() => callbacks.find((one) => one.path === '/dlr' && one.tag === tag))
  const expectOnHandset = async (content: string, part_count: number) => {
    const text = await waitUntil(async () => (await simulator.received(phone)).find((one) => one.content === content))
    expectFields(text, { part_count, complete: true })
  }

  await checks.check('Kannel binds to our simulator as a transceiver', async () =>
    expectFields(await waitUntil(async () => (await simulator.state()).binds[0]), { state: 'bound_trx' }),
  )
  const isListening = () => waitUntil(() => isReachable(`http://127.0.0.1:${ports.sendsms}/`))
  if (!(await checks.check('its smsbox accepts texts over HTTP', isListening))) return
  await simulator.received(phone)

  const texts: [kind: string, tag: string, text: string, parts: number, options?: Record<string, string>][] = [
    ['a short text', 'short', 'Doors open at seven.', 1],
    ['a text of 160 characters', 'full', 'x'.repeat(160), 1],
    ['a text in two parts', 'parts', 'A long evening. '.repeat(15).trim(), 2],
    ['escaped characters', 'escaped', 'Price [10 €] {a|b} ~ ^ \\', 1],
    ['UCS-2', 'ucs2', 'Привет, 世界', 1, { coding: '2' }],
    ['UCS-2 in two parts', 'ucs2-parts', 'Вечер начинается в семь. '.repeat(4).trim(), 2, { coding: '2' }],
  ]
  for (const [kind, tag, text, parts, options] of texts) {
    await checks.check(`Kannel sends ${kind}, and the handset receives it`, async () => {
      await send(phone, text, { ...options, tag })
      await expectOnHandset(text, parts)
    })
    await checks.check('  and Kannel receives its receipt', async () =>
      expectFields(await report(tag), { type: DELIVERED, to: `1${phone}`, id: /^[0-9a-f]{12}$/ }),
    )
  }
  await checks.check('Kannel reads the receipt of a bounce', async () => {
    await send('2125550101', 'Nobody is there', { tag: 'bounce' })
    expectFields(await report('bounce'), { type: FAILED, receipt: /stat:UNDELIV .*err:001/ })
  })
  await checks.check('Kannel matches a receipt whose id is in upper-case hex', async () => {
    await simulator.settings({ id_form: 'hex_upper', receipt_id_form: 'hex_upper' })
    await send(phone, 'In upper case', { tag: 'upper' })
    expectFields(await report('upper'), { type: DELIVERED })
  })
  for (const [kind, text] of [
    ['a keyword', 'PIZZA'],
    ['escaped characters', 'Ten € [now]'],
    ['UCS-2', 'Да 🙏'],
  ] as const) {
    await checks.check(`Kannel forwards ${kind} from a handset`, async () => {
      await simulator.sendMo(phone, '12345', text)
      const mo = await waitUntil(() => callbacks.find((one) => one.path === '/mo' && one.text === text))
      expectFields(mo, { from: `+1${phone}`, to: '12345' })
    })
  }
  await checks.check(
    'Kannel sends a throttled text again until it is accepted',
    async () => {
      await send('2125550104', 'Slowly', { tag: 'throttled' })
      await waitUntil(() => callbacks.some(({ tag }) => tag === 'throttled'), THROTTLED_TIMEOUT_MS)
      expectFields(await report('throttled'), { type: DELIVERED })
      expectFields(await simulator.state(), { throttled: 2 })
    },
    THROTTLED_TIMEOUT_MS,
  )
  await checks.check('the first bind is still open, and no receipt is owed', async () => {
    const { binds, owed } = await waitUntil(async () => {
      const state = await simulator.state()
      return state.owed === 0 && state
    })
    expectFields({ binds: binds.map(({ id }) => id), owed }, { binds: [1], owed: 0 })
  })
}

async function sendText(ports: Ports, to: string, text: string, options: Record<string, string>): Promise<void> {
  const { tag = '', ...others } = options
  const callbackUrl = `http://127.0.0.1:${ports.callback}/dlr?tag=${tag}&type=%d&id=%F&to=%p&receipt=%A`
  const query = new URLSearchParams({
    username: 'carillon',
    password: 'chimes',
    from: '12345',
    to: `1${to}`,
    text,
    charset: 'UTF-8',
    'dlr-mask': '3',
    'dlr-url': callbackUrl,
    ...others,
  })
  const response = await fetch(`http://127.0.0.1:${ports.sendsms}/cgi-bin/sendsms?${query}`)
  if (response.status !== 202) throw new Error(`sendsms responded with ${response.status}: ${await response.text()}`)
}

/** Kannel forwards a UCS-2 text as its octets, with `charset` UTF-16. */
function readCallback(url: string): Callback {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  const callback: Callback = { path: pathname, ...Object.fromEntries(searchParams) }
  if (!callback.charset?.startsWith('UTF-16')) return callback
  const encoded = /[?&]text=([^&]*)/.exec(url)?.[1] ?? ''
  const octets = encoded
    .replaceAll('+', ' ')
    .replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  return { ...callback, text: Buffer.from(octets, 'latin1').swap16().toString('utf16le') }
}

async function isReachable(url: string): Promise<boolean> {
  try {
    await fetch(url)
    return true
  } catch {
    return false
  }
}

function configuration(simulator: PeerSimulator, ports: Ports): string {
  const log = (name: string) => `log-file = "${join(simulator.folder, name)}"\nlog-level = 1`
  return `
group = core
admin-port = ${ports.admin}
admin-password = chimes
smsbox-port = ${ports.smsbox}
box-allow-ip = "127.0.0.1"
dlr-storage = internal
sms-resend-freq = 1
${log('bearerbox.log')}

group = smsc
smsc = smpp
smsc-id = carillon
host = 127.0.0.1
port = ${simulator.port}
transceiver-mode = true
smsc-username = ${simulator.systemId}
smsc-password = ${simulator.password}
system-type = ""
address-range = ""
source-addr-ton = 0
source-addr-npi = 0
dest-addr-ton = 1
dest-addr-npi = 1
enquire-link-interval = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = ${ports.sendsms}
${log('smsbox.log')}

group = sendsms-user
username = carillon
password = chimes
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://127.0.0.1:${ports.callback}/mo?from=%p&to=%P&text=%b&charset=%C"
`
}
