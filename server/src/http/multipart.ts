import { errors } from '../errors.ts'
import { rejectManyFields } from './body-limits.ts'
import { type Form, formOf } from './form.ts'

// Bodies of multipart/form-data, which some HTTP libraries send for every form. Not busboy or @fastify/multipart: those
// need the Content-Type header, which callers omit or send without its boundary, accept no line feeds without carriage
// return, and omit parts that they cannot read or that exceed a limit, so that a field would be lost without an error.

const openingLine = /^--([^\r\n]{1,70}?)[ \t]{0,70}\r?\n/
const closingLineOnly = /^--[^\r\n]{1,70}--\s*$/
const partPattern = /^[ \t]*\r?\n(?<headers>(?:[^\r\n]+\r?\n)*)\r?\n(?<value>[\s\S]*)$/
const foldedLine = /\r?\n[ \t]+/g
const disposition = /^content-disposition:[^;\r\n]*(?<params>[^\r\n]*)/im
const parameter = /[ \t]*;[ \t]*(?:(?<key>[^\s=;"]+)[ \t]*=[ \t]*(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<bare>[^;\s"]*)))?/gy
const transferEncoding = /^content-transfer-encoding:(?<encoding>[^\r\n]*)/im
const identityEncodings = ['', '7bit', '8bit', 'binary']

/**
 * Parses a multipart body into the same form as its fields have in `parseForm`; a file is a string. Throws a 400 if the
 * body ends before its closing boundary, or if a part has no name or a transfer encoding such as base64.
 */
export function parseMultipart(text: string): Form {
  if (closingLineOnly.test(text)) return formOf([])
  const boundary = openingLine.exec(text)?.[1]
  if (boundary === undefined) throw malformed('no boundary')
  rejectManyFields(text, `\n--${boundary}`)
  const [, ...parts] = `\n${text}`.split(`\n--${boundary}`)
  const closing = parts.findIndex((part) => part.startsWith('--'))
  if (closing < 0) throw malformed('no closing boundary')
  return formOf(parts.slice(0, closing).map(readPart))
}

function readPart(part: string): [name: string, value: string] {
  const { headers = '', value } = partPattern.exec(part.replace(/\r$/, ''))?.groups ?? {}
  const unfolded = headers.replace(foldedLine, ' ')
  const name = nameOf(unfolded)
  if (name === undefined || value === undefined) throw malformed('a part without a name')
  const { encoding = '' } = transferEncoding.exec(unfolded)?.groups ?? {}
  if (!identityEncodings.includes(encoding.trim().toLowerCase())) throw malformed('a Content-Transfer-Encoding')
  return [name, value]
}

/** Returns the first `name` of a part's Content-Disposition, in which a file name may contain anything. */
function nameOf(headers: string): string | undefined {
  const { params = '' } = disposition.exec(headers)?.groups ?? {}
  for (const { groups: { key, quoted, bare } = {} } of params.matchAll(parameter)) {
    if (key?.toLowerCase() === 'name') return quoted?.replace(/\\(?=.)/g, '') ?? bare
  }
  return undefined
}

const malformed = (fault: string) => errors.unreadableRequest(`Malformed request body: multipart form with ${fault}`)
