import { errors } from '../errors.ts'
import { SealError, type Sealer } from '../lib/seal.ts'
import { type CustomHeaders, openHeaders } from './delivery/custom-headers.ts'
import { hiddenValue } from './delivery/hidden-values.ts'

const maxHeaders = 20
const maxNameLength = 100
const maxValueLength = 1_000
/** Below the 8 KB that common servers accept, with the headers of a delivery. */
const maxLength = 6_000

/** RFC 9110, 5.6.2: a token; and 5.5: printable characters without blanks around them. */
const namePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const valuePattern = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/

/** Names that a delivery sets itself, and those that control the connection, its body or the way to the server. */
const reservedNames =
  /^(host|user-agent|content-(length|type|encoding|range|transfer-encoding)|transfer-encoding|accept-encoding|connection|keep-alive|proxy-.*|te|trailer|upgrade|expect|http2-settings|date|webhook-.*|carillon-.*|__proto__)$/

/** Returns the headers of a body; throws a 422 for a name or a value that must not be sent. */
export function readHeaders(given: Record<string, string>): CustomHeaders {
  const headers = Object.entries(given)
  const fault = faultOf(headers)
  if (fault !== undefined) throw errors.invalid({ 'webhook.headers': [fault] })
  return headers
}

function faultOf(headers: CustomHeaders): string | undefined {
  if (headers.length > maxHeaders) return `must be at most ${maxHeaders} headers`
  const names = new Set<string>()
  for (const [name, value] of headers) {
    const shown = JSON.stringify(name.slice(0, maxNameLength))
    const lower = name.toLowerCase()
    if (name.length > maxNameLength) return `has the name ${shown}..., which has more than ${maxNameLength} characters`
    if (!namePattern.test(name)) return `has the name ${shown}, which is not the name of a header`
    if (reservedNames.test(lower)) return `has the name ${shown}, which deliveries use themselves`
    if (names.has(lower)) return `has the name ${shown} twice`
    if (value.length > maxValueLength) return `has a value of ${shown} of more than ${maxValueLength} characters`
    if (!valuePattern.test(value)) return `has a value of ${shown} that is not printable ASCII without blanks around it`
    names.add(lower)
  }
  const length = headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  return length > maxLength ? `must have at most ${maxLength} characters in all` : undefined
}

/**
 * Returns the given headers with the stored value for each one that has the text of a hidden value: a caller may send back
 * what it has read. Throws a 422 if a header has no stored value.
 */
export function keepHidden(given: CustomHeaders, sealer: Sealer | undefined, sealed: Buffer | null): CustomHeaders {
  if (!given.some(([, value]) => value === hiddenValue)) return given
  const stored = new Map(storedHeaders(sealer, sealed).map(([name, value]) => [name.toLowerCase(), value]))
  return given.map(([name, value]) => {
    if (value !== hiddenValue) return [name, value]
    const kept = stored.get(name.toLowerCase())
    if (kept === undefined) {
      throw errors.invalid({ 'webhook.headers': [`has no stored value of ${JSON.stringify(name)} to keep`] })
    }
    return [name, kept]
  })
}

function storedHeaders(sealer: Sealer | undefined, sealed: Buffer | null): CustomHeaders {
  try {
    return sealer ? openHeaders(sealer, sealed) : []
  } catch (error) {
    if (error instanceof SealError) return []
    throw error
  }
}
