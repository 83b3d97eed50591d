// The control API: turns the simulator's settings and texts from virtual handsets, over plain HTTP and JSON on loopback.
// Answers follow the product's envelope for errors.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { formatPhoneNumber, parsePhoneNumber } from '../sms/phone-number.ts'
import type { Binds } from './binds.ts'
import type { HandsetText } from './handsets.ts'
import { changeSettings, presentSettings, type Settings, SettingsError } from './settings.ts'
import type { Smsc } from './smsc.ts'

export type Controlled = {
  smsc: Smsc
  binds: Binds
  /** What the simulator started with. */
  initial: Settings
  change(settings: Settings): void
  reset(): void
}

type Handler = (controlled: Controlled, parameters: string[], body: unknown) => unknown

/** A refusal with the words and the status of its answer. */
class Refusal extends Error {
  readonly status: number
  readonly code: string
  readonly details: Record<string, string[]> | undefined

  constructor(status: number, code: string, message: string, details?: Record<string, string[]>) {
    super(message)
    this.status = status
    this.code = code
    this.details = details
  }
}

const BODY_LIMIT = 64 * 1024
const SHORT_CODE = /^[0-9]{3,15}$/

const routes: [method: string, path: RegExp, handler: Handler][] = [
  ['GET', /^\/state$/, presentState],
  ['GET', /^\/settings$/, ({ smsc }) => presentSettings(smsc.settings)],
  ['PATCH', /^\/settings$/, (controlled, _, body) => setSettings(controlled, controlled.smsc.settings, body)],
  ['PUT', /^\/settings$/, (controlled, _, body) => setSettings(controlled, controlled.initial, body)],
  ['POST', /^\/binds\/drop$/, dropBinds],
  ['GET', /^\/handsets\/([^/]+)\/messages$/, listHandsetMessages],
  ['POST', /^\/handsets\/([^/]+)\/messages$/, writeOnHandset],
  ['POST', /^\/reset$/, resetAll],
]

/** Serves the control API; resolves when it listens. */
export async function startControl(controlled: Controlled, port: number, host: string) {
  const server = createServer((request, response) => {
    answer(controlled, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(controlled: Controlled, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let status = 200
  let content: unknown
  try {
    refuseStrangers(request)
    const { handler, parameters } = route(request)
    content = await handler(controlled, parameters, await readBody(request))
  } catch (fault) {
    const refusal = asRefusal(fault)
    status = refusal.status
    content = { status: 'error', error: refusal.message, code: refusal.code, details: refusal.details }
    // What is left of a body that is not wanted is not waited for.
    if (!request.complete) response.setHeader('connection', 'close')
  }
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
  response.end(`${JSON.stringify(content)}\n`)
}

/** Loopback is within reach of every page in a browser: only a plain client that means this host is served. */
function refuseStrangers(request: IncomingMessage): void {
  const host = request.headers.host ?? ''
  if (!/^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(host) || request.headers.origin !== undefined) {
    throw new Refusal(403, 'forbidden', 'The control API serves this machine only, and no web pages')
  }
}

function route(request: IncomingMessage): { handler: Handler; parameters: string[] } {
  const path = (request.url ?? '/').split('?', 1)[0] as string
  let known = false
  for (const [method, pattern, handler] of routes) {
    const match = pattern.exec(path)
    if (!match) continue
    if (method === request.method) return { handler, parameters: match.slice(1) }
    known = true
  }
  if (known) throw new Refusal(405, 'method_not_allowed', 'Method not allowed')
  throw new Refusal(404, 'path_not_found', 'Path not found')
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += chunk.length
    if (length > BODY_LIMIT) {
      throw new Refusal(413, 'body_too_large', `Body is too large (maximum is ${BODY_LIMIT} bytes)`)
    }
    chunks.push(chunk)
  }
  if (length === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new Refusal(400, 'unreadable_request', 'Body is not JSON')
  }
}

function asRefusal(fault: unknown): Refusal {
  if (fault instanceof Refusal) return fault
  if (fault instanceof SettingsError) return new Refusal(422, 'invalid', fault.message, fault.details)
  return new Refusal(500, 'internal', 'Something went wrong')
}

function presentState({ smsc, binds }: Controlled) {
  const { counts, outgoingCounts: outgoing } = smsc
  return {
    accepted: counts.accepted,
    refused: counts.refused,
    throttled: counts.throttled,
    answers_lost: counts.answersLost,
    receipts: { sent: outgoing.receiptsSent, answered: outgoing.receiptsAnswered },
    mos: { sent: outgoing.mosSent, answered: outgoing.mosAnswered },
    owed: smsc.owed,
    binds: binds.list().map(({ id, systemId, kind, since, submits }) => ({
      id,
      system_id: systemId,
      state: kind,
      submits,
      since: new Date(since).toISOString(),
    })),
    settings: presentSettings(smsc.settings),
  }
}

function setSettings(controlled: Controlled, base: Settings, body: unknown) {
  const settings = changeSettings(base, body)
  controlled.change(settings)
  return presentSettings(settings)
}

function dropBinds({ binds }: Controlled, _: string[], body: unknown) {
  const { id } = asObject(body ?? {})
  if (id !== undefined && !Number.isSafeInteger(id)) throw invalid('id', "is not a bind's number")
  const dropped = binds.drop(id as number | undefined)
  if (id !== undefined && dropped === 0) throw new Refusal(404, 'bind_not_found', 'Bind not found')
  return { dropped }
}

function listHandsetMessages({ smsc }: Controlled, [phoneNumber]: string[]) {
  const phone = readPhone(phoneNumber)
  return { phone_number: formatPhoneNumber(phone), messages: smsc.handsets.textsOf(phone).map(presentText) }
}

function presentText(text: HandsetText) {
  const parts = Array.from({ length: text.parts.length }, (_, index) => text.parts[index])
  return {
    direction: text.direction,
    short_code: text.shortCode,
    content: parts.map((part) => part ?? '').join(''),
    part_count: text.partCount,
    complete: text.direction === 'MO' || (parts.length === text.partCount && !parts.includes(undefined)),
    at: new Date(text.at).toISOString(),
  }
}

function writeOnHandset({ smsc }: Controlled, [phoneNumber]: string[], body: unknown) {
  const phone = readPhone(phoneNumber)
  const { to, content } = asObject(body)
  const shortCode = typeof to === 'number' ? String(to) : to
  if (typeof shortCode !== 'string' || !SHORT_CODE.test(shortCode)) throw invalid('to', 'is not a short code')
  if (typeof content !== 'string' || content === '') throw invalid('content', "can't be blank")
  try {
    smsc.handsetWrites(phone, shortCode, content)
  } catch (fault) {
    if (fault instanceof RangeError) throw invalid('content', 'is too long')
    throw fault
  }
  const written = smsc.handsets.textsOf(phone).at(-1) as HandsetText
  return presentText(written)
}

function resetAll(controlled: Controlled) {
  controlled.reset()
  return presentState(controlled)
}

function readPhone(text: string | undefined): number {
  let decoded = ''
  try {
    decoded = decodeURIComponent(text ?? '')
  } catch {
    // A broken escape is no number either.
  }
  const phone = parsePhoneNumber(decoded)
  if (phone === undefined) throw new Refusal(422, 'bad_phone_number', 'Bad phone number: ten digits are needed')
  return phone
}

function asObject(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>
  throw new Refusal(400, 'unreadable_request', 'Body is not a JSON object')
}

function invalid(field: string, text: string): Refusal {
  return new Refusal(422, 'invalid', `Validation failed: ${field} ${text}`, { [field]: [text] })
}
