import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { waitForLongTurn } from '../lib/event-loop-turns.ts'
import { rejectDeepJson, rejectManyFields } from './body-limits.ts'
import { readBody } from './body-reader.ts'
import { parseForm } from './form.ts'
import { parseMultipart } from './multipart.ts'
import type { Sockets } from './sockets.ts'

// Clients of the vendor send wrong content types: JSON as a form, an empty body as JSON, JSON inside a JSON string, and
// arguments in the body of a GET. So one parser accepts every content type and inspects the body itself.

/** Number of bytes from which bodies are parsed one by one: a megabyte takes up to 90 ms, with its validation. */
const largeBody = 16_384

const utf8 = new TextDecoder('utf-8', { fatal: true })

const mediaType = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$)/

/** Registers the one body parser, which reads only bodies of callers with a key, and allows bodies in GET requests. */
export function useBodyParser(app: FastifyInstance, sockets: Sockets) {
  app.addHttpMethod('GET', { hasBody: true, overrideExisting: true })
  app.decorateRequest('isForm', false)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', async (req: FastifyRequest, payload: Readable) => {
    // without a key: of a path that is public or unknown
    if (!req.account) return undefined
    const limits = {
      bytes: req.routeOptions.bodyLimit,
      graceMs: app.timing.bodyGraceMs,
      reserve: (bytes: number) => sockets.reserve(req.raw.socket, req.account.id, bytes),
      stopping: app.stopping,
    }
    const bytes = await readBody(payload, Number(req.headers['content-length'] ?? 0), limits)
    rejectCompressed(req.headers['content-encoding'], bytes)
    if (bytes.length > largeBody) await waitForLongTurn(req.account.id)
    const { body, isForm } = parseBody(bytes)
    req.isForm = isForm
    return body
  })
  app.addHook('onRequest', async (req) => {
    // Fastify rejects a malformed content type (`json`) before it calls a parser, and a QUERY without one before the 405
    const contentType = req.headers['content-type']
    const isRejected = contentType === undefined ? req.method === 'QUERY' : !mediaType.test(contentType)
    if (isRejected) req.headers['content-type'] = 'application/octet-stream'
  })
}

/**
 * Parses a body of any content type: as JSON if it starts like JSON, otherwise as a form or a multipart form. Returns
 * undefined for an empty body, `null` and `[]`; parses a JSON string that contains JSON a second time. Throws a 400 for a
 * malformed body.
 */
export function parseBody(bytes: Uint8Array): { body: unknown; isForm: boolean } {
  const text = decode(bytes).trim()
  if (text === '') return { body: undefined, isForm: false }
  if (!/^(?:[[{"]|null$)/.test(text)) return { body: rejectUnstorable(readForm(text)), isForm: true }
  let source = text
  let body = parseJson(text)
  if (typeof body === 'string' && body.trim() !== '') {
    source = body
    body = parseJson(source)
  }
  if (unstorableEscape.test(source)) rejectUnstorable(body)
  const isNothing = body === null || body === '' || (Array.isArray(body) && body.length === 0)
  return { body: isNothing ? undefined : body, isForm: false }
}

/** The escapes of JSON that can make a NUL or a lone surrogate; UTF-8 contains no other surrogates. */
const unstorableEscape = /\\u(?:0000|d[89a-f])/i

/** Throws a 415 for a compressed body: 1 MB of gzip may be a gigabyte. Imports, which are streamed, have their own parser. */
function rejectCompressed(encoding: string | undefined, bytes: Buffer): void {
  const isEncoded = encoding !== undefined && !/^\s*(?:identity)?\s*$/i.test(encoding)
  if (isEncoded || (bytes[0] === 0x1f && bytes[1] === 0x8b)) throw errors.unsupportedEncoding()
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw errors.unreadableRequest('Malformed request body: not UTF-8')
  }
}

function parseJson(text: string): unknown {
  rejectDeepJson(text)
  try {
    return JSON.parse(text)
  } catch {
    // the message of the JSON error quotes the body
    throw errors.unreadableRequest('Malformed request body: not JSON')
  }
}

function readForm(text: string) {
  // the boundary of a multipart body may contain a `=`
  if (text.startsWith('--')) return parseMultipart(text)
  if (!text.includes('=')) throw errors.unreadableRequest('Malformed request body: neither JSON nor a form')
  rejectManyFields(text, '&')
  return parseForm(text)
}

/**
 * Returns the body; throws a 422 if a string in it, or a key, contains a NUL, which PostgreSQL cannot store, or one half
 * of a surrogate pair, which would be stored as another character.
 */
export function rejectUnstorable<T>(body: T): T {
  const pending: Place[] = [{ key: '', value: body }]
  for (let place = pending.pop(); place; place = pending.pop()) {
    const { key, value } = place
    rejectText(place, key)
    if (typeof value === 'string') rejectText(place, value)
    if (typeof value !== 'object' || value === null) continue
    for (const [name, part] of Object.entries(value)) pending.push({ parent: place, key: name, value: part })
  }
  return body
}

/** A value in a body; `parent` is the object or array that contains it. */
type Place = { parent?: Place; key: string; value: unknown }

function rejectText(place: Place, text: string): void {
  if (text.includes('\0')) throw errors.invalid({ [pathOf(place)]: ['contains a NUL character'] })
  if (!text.isWellFormed())
    throw errors.invalid({ [pathOf(place).toWellFormed()]: ['contains half of a surrogate pair'] })
}

/** Returns the path of a place; only for an error, because a body may have a hundred thousand values. */
function pathOf(place: Place): string {
  const keys: string[] = []
  for (let at: Place | undefined = place; at?.parent; at = at.parent) keys.push(at.key)
  return keys.reverse().join('.')
}
