// The control API: changes the simulator's settings and sends texts from virtual handsets, over plain HTTP and JSON on
// loopback. Errors have the product's envelope.

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
  /** The settings at the start. */
  initial: Settings
  change(settings: Settings): void
  reset(): void
}

type Handler = (controlled: Controlled, parameters: string[], body: unknown) => unknown

/** An error with the status, code and message of its response. */
class ControlError extends Error {
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
  ['POST', /^\/handsets\/([^/]+)\/messages$/, sendFromHandset],
  ['POST', /^\/reset$/, resetAll],
]

/** Starts the control API; resolves when it listens. */
export async function startControl(controlled: Controlled, port: number, host: string) {
  const server = createServer((request, response) => {
    serve(controlled, request, response).catch(() => response.destroy())
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

async function serve(controlled: Controlled, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let status = 200
  let content: unknown
  try {
    requireLocalClient(request)
    const { handler, parameters } = route(request)
    content = await handler(controlled, parameters, await readBody(request))
  } catch (thrown) {
    const error = toControlError(thrown)
    status = error.status
    content = { status: 'error', error: error.message, code: error.code, details: error.details }
    // do not wait for the rest of a rejected body
    if (!request.complete) response.setHeader('connection', 'close')
  }
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
  })
  response.end(`${JSON.stringify(content)}\n`)
}

/**
 * Rejects web pages, because any page in a browser on this machine can reach loopback: Host must be local, Origin absent, and
 * a browser's request one that its user typed. Rejects Carillon itself, too, whose sandbox delivers events to this machine:
 * the URL of a webhook of any account could be this API.
 */
function requireLocalClient(request: IncomingMessage): void {
  const { host = '', origin, 'sec-fetch-site': site = 'none', 'user-agent': agent = '' } = request.headers
  const isLocal = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(host)
  if (!isLocal || origin !== undefined || site !== 'none' || agent.startsWith('Carillon/')) {
    throw new ControlError(403, 'forbidden', 'The control API serves clients on this machine only, not web pages')
  }
}

function route(request: IncomingMessage): { handler: Handler; parameters: string[] } {
  const path = (request.url ?? '/').split('?', 1)[0] as string
  let isKnownPath = false
  for (const [method, pattern, handler] of routes) {
    const match = pattern.exec(path)
    if (!match) continue
    if (method === request.method) return { handler, parameters: match.slice(1) }
    isKnownPath = true
  }
  if (isKnownPath) throw new ControlError(405, 'method_not_allowed', 'Method not allowed')
  throw new ControlError(404, 'path_not_found', 'Path not found')
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += chunk.length
    if (length > BODY_LIMIT) {
      throw new ControlError(413, 'body_too_large', `Body is too large (maximum is ${BODY_LIMIT} bytes)`)
    }
    chunks.push(chunk)
  }
  if (length === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new ControlError(400, 'unreadable_request', 'Body is not JSON')
  }
}

function toControlError(thrown: unknown): ControlError {
  if (thrown instanceof ControlError) return thrown
  if (thrown instanceof SettingsError) return new ControlError(422, 'invalid', thrown.message, thrown.details)
  return new ControlError(500, 'internal', 'Something went wrong')
}

function presentState({ smsc, binds }: Controlled) {
  const { counts, outgoingCounts: outgoing } = smsc
  return {
    accepted: counts.accepted,
    rejected: counts.rejected,
    throttled: counts.throttled,
    responses_lost: counts.responsesLost,
    receipts: { sent: outgoing.receiptsSent, acknowledged: outgoing.receiptsAcknowledged },
    mos: { sent: outgoing.mosSent, acknowledged: outgoing.mosAcknowledged },
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
  if (id !== undefined && !Number.isSafeInteger(id)) throw invalid('id', 'is not the number of a bind')
  const dropped = binds.drop(id as number | undefined)
  if (id !== undefined && dropped === 0) throw new ControlError(404, 'bind_not_found', 'Bind not found')
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

function sendFromHandset({ smsc }: Controlled, [phoneNumber]: string[], body: unknown) {
  const phone = readPhone(phoneNumber)
  const { to, content } = asObject(body)
  const shortCode = typeof to === 'number' ? String(to) : to
  if (typeof shortCode !== 'string' || !SHORT_CODE.test(shortCode)) throw invalid('to', 'is not a short code')
  if (typeof content !== 'string' || content === '') throw invalid('content', "can't be blank")
  try {
    smsc.sendMo(phone, shortCode, content)
  } catch (error) {
    if (error instanceof RangeError) throw invalid('content', 'is too long')
    throw error
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
    // a malformed escape is not a phone number either
  }
  const phone = parsePhoneNumber(decoded)
  if (phone === undefined) throw new ControlError(422, 'bad_phone_number', 'Phone number must have ten digits')
  return phone
}

function asObject(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>
  throw new ControlError(400, 'unreadable_request', 'Body is not a JSON object')
}

function invalid(field: string, text: string): ControlError {
  return new ControlError(422, 'invalid', `Validation failed: ${field} ${text}`, { [field]: [text] })
}
