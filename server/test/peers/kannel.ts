// Kannel 1.4.5, the best-known open gateway: its bearerbox is an ESME of our simulator, its smsbox takes texts by
// HTTP, calls back with delivery reports, and passes on what handsets write.

import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type Checks, expectFields, until } from './checks.ts'
import { type PeerSimulator, startPeerSimulator } from './peer-simulator.ts'
import { freePort, Program } from './programs.ts'

type Ports = { admin: number; smsbox: number; sendsms: number; callback: number }

/** A callback of Kannel: a delivery report or an MO. */
type Callback = { path: string } & Record<string, string>

const DELIVERED = '1'
const FAILED = '2'
/** Kannel sends nothing for 15 s after each ESME_RTHROTTLED. */
const THROTTLED_MS = 45_000
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
    const starts = () => until(() => reaches(`http://127.0.0.1:${ports.admin}/status.txt`))
    if (!(await checks.check('Kannel starts', starts))) return
    smsbox = new Program('smsbox', [config])
    await runChecks(checks, simulator, ports, callbacks)
    await checks.check('Kannel unbinds when it is stopped', async () => {
      await smsbox?.stop()
      await bearerbox.stop()
      return until(async () => (await simulator.state()).binds.length === 0)
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
  const report = (tag: string) => until(() => callbacks.find(({ path, tag: of }) => path === '/dlr' && of === tag))
  const shows = async (content: string, part_count: number) => {
    const text = await until(async () => (await simulator.received(phone)).find((one) => one.content === content))
    expectFields(text, { part_count, complete: true })
  }

  await checks.check('Kannel binds to our simulator as a transceiver', async () =>
    expectFields(await until(async () => (await simulator.state()).binds[0]), { state: 'bound_trx' }),
  )
  const listens = () => until(() => reaches(`http://127.0.0.1:${ports.sendsms}/`))
  if (!(await checks.check('its smsbox takes texts by HTTP', listens))) return
  await simulator.received(phone)

  const texts: [what: string, tag: string, text: string, parts: number, options?: Record<string, string>][] = [
    ['a short text', 'short', 'Doors open at seven.', 1],
    ['a text of 160 characters', 'full', 'x'.repeat(160), 1],
    ['a text in two parts', 'parts', 'A long evening. '.repeat(15).trim(), 2],
    ['characters behind an escape', 'escaped', 'Price [10 €] {a|b} ~ ^ \\', 1],
    ['UCS-2', 'ucs2', 'Привет, 世界', 1, { coding: '2' }],
    ['UCS-2 in two parts', 'ucs2-parts', 'Вечер начинается в семь. '.repeat(4).trim(), 2, { coding: '2' }],
  ]
  for (const [what, tag, text, parts, options] of texts) {
    await checks.check(`Kannel sends ${what}, and the handset shows it`, async () => {
      await send(phone, text, { ...options, tag })
      await shows(text, parts)
    })
    await checks.check('  and Kannel has its receipt', async () =>
      expectFields(await report(tag), { type: DELIVERED, to: `1${phone}`, id: /^[0-9a-f]{12}$/ }),
    )
  }
  await checks.check('a bounce reaches Kannel as one', async () => {
    await send('2125550101', 'Nobody is there', { tag: 'bounce' })
    expectFields(await report('bounce'), { type: FAILED, answer: /stat:UNDELIV .*err:001/ })
  })
  await checks.check('Kannel has a receipt whose id is spelled in upper-case hex', async () => {
    await simulator.settings({ id_form: 'hex_upper', receipt_id_form: 'hex_upper' })
    await send(phone, 'Spelled otherwise', { tag: 'upper' })
    expectFields(await report('upper'), { type: DELIVERED })
  })
  for (const [what, text] of [
    ['a keyword', 'PIZZA'],
    ['escaped characters', 'Ten € [now]'],
    ['UCS-2', 'Да 🙏'],
  ] as const) {
    await checks.check(`a handset writes ${what}, and Kannel passes it on`, async () => {
      await simulator.write(phone, '12345', text)
      const mo = await until(() => callbacks.find((one) => one.path === '/mo' && one.text === text))
      expectFields(mo, { from: `+1${phone}`, to: '12345' })
    })
  }
  await checks.check(
    'a text throttled twice is sent until it is taken',
    async () => {
      await send('2125550104', 'Slowly', { tag: 'throttled' })
      await until(() => callbacks.some(({ tag }) => tag === 'throttled'), THROTTLED_MS)
      expectFields(await report('throttled'), { type: DELIVERED })
      expectFields(await simulator.state(), { throttled: 2 })
    },
    THROTTLED_MS,
  )
  await checks.check('the bind lived through it all, enquire_links included, and nothing is owed', async () => {
    const { binds, owed } = await until(async () => {
      const state = await simulator.state()
      return state.owed === 0 && state
    })
    expectFields({ binds: binds.map(({ id }) => id), owed }, { binds: [1], owed: 0 })
  })
}

async function sendText(ports: Ports, to: string, text: string, options: Record<string, string>): Promise<void> {
  const { tag = '', ...others } = options
  const report = `http://127.0.0.1:${ports.callback}/dlr?tag=${tag}&type=%d&id=%F&to=%p&answer=%A`
  const query = new URLSearchParams({
    username: 'carillon',
    password: 'chimes',
    from: '12345',
    to: `1${to}`,
    text,
    charset: 'UTF-8',
    'dlr-mask': '3',
    'dlr-url': report,
    ...others,
  })
  const response = await fetch(`http://127.0.0.1:${ports.sendsms}/cgi-bin/sendsms?${query}`)
  if (response.status !== 202) throw new Error(`sendsms answered ${response.status}: ${await response.text()}`)
}

/** Kannel passes a UCS-2 text on as its octets, and says so in `charset`. */
function readCallback(url: string): Callback {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  const callback: Callback = { path: pathname, ...Object.fromEntries(searchParams) }
  if (!callback.charset?.startsWith('UTF-16')) return callback
  const spelled = /[?&]text=([^&]*)/.exec(url)?.[1] ?? ''
  const octets = spelled
    .replaceAll('+', ' ')
    .replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  return { ...callback, text: Buffer.from(octets, 'latin1').swap16().toString('utf16le') }
}

async function reaches(url: string): Promise<boolean> {
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
