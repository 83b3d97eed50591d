import { errors } from '../errors.ts'
import { type Form, formOf } from './form.ts'

// Bodies of multipart/form-data, which some HTTP libraries send for every form.

const maxParts = 2_000
const openingLine = /^--([^\r\n]{1,70}?)[ \t]*\r?\n/
const partPattern = /^[ \t]*\r?\n(?<headers>(?:[^\r\n]+\r?\n)*)\r?\n(?<value>[\s\S]*)$/
const namePattern = /^content-disposition:[^\r\n]*;[ \t]*name=(?:"((?:[^"\\\r\n]|\\.)*)"|([^";\s]+))/im

/**
 * Parses a multipart body into the same form as its fields have in `parseForm`; a file is a string. Throws a 400 if the
 * body ends before its closing boundary, or if a part has no name.
 */
export function parseMultipart(text: string): Form {
  const boundary = openingLine.exec(text)?.[1]
  if (boundary === undefined) throw malformed('no boundary')
  const [, ...parts] = `\n${text}`.split(`\n--${boundary}`, maxParts + 2)
  const closing = parts.findIndex((part) => part.startsWith('--'))
  if (closing < 0) throw malformed('no closing boundary')
  return formOf(parts.slice(0, closing).map(readPart))
}

function readPart(part: string): [name: string, value: string] {
  const { headers, value } = partPattern.exec(part.replace(/\r$/, ''))?.groups ?? {}
  const [, quoted, bare] = namePattern.exec(headers ?? '') ?? []
  const name = quoted?.replace(/\\(?=.)/g, '') ?? bare
  if (name === undefined || value === undefined) throw malformed('a part without a name')
  return [name, value]
}

const malformed = (fault: string) => errors.unreadableRequest(`Malformed request body: multipart form with ${fault}`)
