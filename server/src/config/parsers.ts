import { isIP } from 'node:net'
import { loopbackRanges } from '../lib/address-ranges.ts'
import { parseRateLimit, rateLimitFormat } from '../lib/rate-limit.ts'
import { type AccountCaps, capNames } from './caps.ts'
import { Secret } from './secret.ts'

/** Parses the value of a setting; throws an Error with a message that continues "<name> ...". */
export type Parser<T> = ((text: string) => T) & { range?: Range }

/** The smallest and the largest value of a setting that is a number. */
export type Range = { min: number; max: number }

/** An SMPP connection, parsed from one URL. */
export type SmppAddress = {
  host: string
  port: number
  tls: boolean
  systemId: string
  password: Secret
  /** Maximum number of submit_sm per bind that await a response; this and the next two are undefined if the URL omits them. */
  window: number | undefined
  /** Maximum number of parts per second over all binds. */
  mps: number | undefined
  binds: number | undefined
}

export function wholeNumber(min: number, max: number): Parser<number> {
  const parse = (text: string) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new Error(`must be a whole number from ${min} to ${max}, not ${quote(text)}`)
  }
  return Object.assign(parse, { range: { min, max } })
}

export function oneOf<const T extends string>(...words: T[]): Parser<T> {
  return (text) => {
    const word = words.find((candidate) => candidate === text)
    if (word) return word
    throw new Error(`must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, not ${quote(text)}`)
  }
}

/** Calls and seconds, such as 100/60, or off. */
export const rateLimit: Parser<string> = (text) => {
  if (parseRateLimit(text) !== undefined) return text
  throw new Error(`must be ${rateLimitFormat}, not ${quote(text)}`)
}

/** Caps and their numbers, such as lists=20000,api_keys=500. */
export const capList: Parser<Partial<AccountCaps>> = (text) => {
  const changes: Partial<AccountCaps> = {}
  for (const item of itemsOf(text)) {
    const [, name, digits] = /^([a-z_]+)\s*=\s*(\d{1,7})$/.exec(item) ?? []
    const cap = capNames.find((each) => each === name)
    if (!cap) throw new Error(`must be name=number with the names ${capNames.join(', ')}, not ${quote(item)}`)
    changes[cap] = Number(digits)
  }
  return changes
}

export const plainText: Parser<string> = (text) => text

/** A host name or an IP address. */
export const hostName: Parser<string> = (text) => {
  if (isIP(text) > 0 || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text)) return text
  throw new Error(`must be a host name or an IP address, not ${quote(text)}`)
}

export const emailAddress: Parser<string> = (text) => {
  if (/^[^\s@:]+@[^\s@:]+$/.test(text)) return text
  throw new Error(`must be an e-mail address, not ${quote(text)}`)
}

/** An API key, which Basic authentication sends, so it must not contain blanks or control characters. */
export const apiKey: Parser<Secret> = (text) => {
  if (/^[\x21-\x7e]{16,200}$/.test(text)) return new Secret(text)
  throw new Error('must be 16 to 200 printable characters without blanks')
}

/** 32 bytes, as 64 hex digits or in base64; returned as hex digits. */
export const secretKey: Parser<Secret> = (text) => {
  if (/^[0-9a-f]{64}$/i.test(text)) return new Secret(text.toLowerCase())
  const bytes = /^[a-z0-9+/_-]{43}=?$/i.test(text) ? Buffer.from(text, 'base64') : undefined
  if (bytes?.length === 32) return new Secret(bytes.toString('hex'))
  throw new Error('must be 32 bytes, as 64 hex digits or in base64 (openssl rand -hex 32)')
}

/** A bearer token, which is sent in a header. */
export const bearerToken: Parser<Secret> = (text) => {
  if (/^[\x21-\x7e]{1,4096}$/.test(text)) return new Secret(text)
  throw new Error('must be printable characters without blanks')
}

/** A name of a bucket that works in a path and in a host name. */
export const bucketName: Parser<string> = (text) => {
  if (/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(text)) return text
  throw new Error(`must be 3 to 63 lower-case letters, digits, dots and hyphens, not ${quote(text)}`)
}

/** A region of an S3-compatible store. */
export const regionName: Parser<string> = (text) => {
  if (/^[a-z0-9-]{1,60}$/i.test(text)) return text
  throw new Error(`must be letters, digits and hyphens, not ${quote(text)}`)
}

/** The beginning of the keys of objects, returned with a slash at its end unless it is empty. */
export const keyPrefix: Parser<string> = (text) => {
  const segments = text.replace(/\/$/, '').split('/')
  const isValid = segments.every((segment) => /^[a-z0-9_.-]+$/i.test(segment) && !/^\.+$/.test(segment))
  if (text === '') return ''
  if (isValid) return `${segments.join('/')}/`
  throw new Error(`must be letters, digits, dots, hyphens and underscores between slashes, not ${quote(text)}`)
}

/** The public part of an access key. */
export const accessKeyId: Parser<string> = (text) => {
  if (/^[a-z0-9_.-]{1,200}$/i.test(text)) return text
  throw new Error('must be letters, digits, dots, hyphens and underscores')
}

/** Scheme, host and port of a URL; without a path, because the pages of Carillon are served at fixed paths. */
export const baseUrl: Parser<string> = (text) => {
  const url = parseUrl(text)
  if (url && /^https?:$/.test(url.protocol) && /^[^/]*\/\/[^/?#@\\]+\/?$/.test(text)) return url.origin
  throw new Error(`must be an http:// or https:// address without path and query, not ${quote(text)}`)
}

/** A URL, which may have a query. */
export const webAddress: Parser<string> = (text) => {
  const url = parseUrl(text)
  if (url && /^https?:$/.test(url.protocol) && url.host && !url.hash && !url.username) return url.href
  throw new Error(`must be an http:// or https:// address, not ${quote(text)}`)
}

export const postgresUrl: Parser<Secret> = (text) => {
  const url = parseUrl(text)
  if (url && /^postgres(ql)?:$/.test(url.protocol) && url.pathname.length > 1) return new Secret(text)
  throw new Error('must look like postgresql://user:password@host:5432/database')
}

const maxCredentialLength = 63

/** A URL of the form smpp[s]://system_id:password@host:port?window=&mps=&binds= */
export const smppUrl: Parser<SmppAddress> = (text) => {
  const url = parseUrl(text)
  if (!url || !/^smpps?:$/.test(url.protocol) || !url.hostname || !url.username) {
    throw new Error('must look like smpp://system_id:password@host:2775?window=10&mps=30 (smpps:// for TLS)')
  }
  const systemId = decodeURIComponent(url.username)
  const password = decodeURIComponent(url.password)
  // SMPP 3.4 allows 15 and 8 characters (5.2.1, 5.2.2), but aggregators issue longer credentials
  if (systemId.length > maxCredentialLength)
    throw new Error(`has a system_id of more than ${maxCredentialLength} characters`)
  if (password.length > maxCredentialLength)
    throw new Error(`has a password of more than ${maxCredentialLength} characters`)
  const unknown = [...url.searchParams.keys()].find((key) => !['window', 'mps', 'binds'].includes(key))
  if (unknown) throw new Error(`accepts the parameters window, mps and binds, not ${quote(unknown)}`)
  const tls = url.protocol === 'smpps:'
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port ? Number(url.port) : tls ? 3550 : 2775,
    tls,
    systemId,
    password: new Secret(password),
    window: queryNumber(url, 'window', 1, 1_000),
    mps: queryNumber(url, 'mps', 1, 100_000),
    binds: queryNumber(url, 'binds', 1, 64),
  }
}

/** Comma-separated ranges such as 10.0.0.0/8, fd00::/8; an address without a prefix length is a range of one. */
export const cidrList: Parser<string[]> = (text) => {
  const ranges = itemsOf(text)
  const invalid = ranges.find((range) => !isRange(range))
  if (invalid) throw new Error(`must be address ranges such as 10.0.0.0/8, separated by commas, not ${quote(invalid)}`)
  return ranges
}

/** As `cidrList`, with the word `loopback` for the addresses of this machine, and without ranges of all addresses. */
export const proxyList: Parser<string[]> = (text) =>
  itemsOf(text).flatMap((item) => {
    if (item.toLowerCase() === 'loopback') return loopbackRanges
    if (isRange(item) && !/\/0+$/.test(item)) return [item]
    throw new Error(`must be loopback, addresses or ranges such as 10.0.0.0/8, separated by commas, not ${quote(item)}`)
  })

function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function isRange(range: string): boolean {
  const [address = '', bits, rest] = range.split('/')
  const family = isIP(address)
  if (family === 0 || rest !== undefined) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

function queryNumber(url: URL, name: string, min: number, max: number): number | undefined {
  const text = url.searchParams.get(name)
  if (text === null || text === '') return undefined
  try {
    return wholeNumber(min, max)(text)
  } catch (e) {
    throw new Error(`has the parameter ${name}, which ${(e as Error).message}`)
  }
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}

function quote(text: string): string {
  return `"${text.length > 60 ? `${text.slice(0, 60)}...` : text}"`
}
