import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Secret } from '../config/secret.ts'
import { isLoopbackHost } from '../lib/address-ranges.ts'
import { type ErrorMap, mappedStatuses } from './connection.ts'
import { normalizeCode, parseStatusKey } from './status-map.ts'

// Rules for connections that a JSON schema cannot express. Each function returns an error that continues "<field> ...".

/** The settings to validate; undefined settings are skipped. */
export type CheckedSettings = {
  name?: string | undefined
  host?: string | undefined
  tlsCa?: string | null | undefined
  tlsServerName?: string | null | undefined
  carrierMps?: Record<string, number> | undefined
  errorMap?: ErrorMap | undefined
  /** The client certificate and its key after the change, if either changes. */
  ownTls?: OwnTls | undefined
}
export type OwnTls = { certificate: string | null; key: Secret | null }

/** Returns the first error of each invalid setting, by the name of its field in the API. */
export function findSettingErrors(given: CheckedSettings, mode: 'sandbox' | 'production'): Record<string, string> {
  const { name, host, tlsCa, tlsServerName, carrierMps, errorMap, ownTls } = given
  const errors = {
    name: name && nameError(name),
    host: host && hostError(host, mode),
    tls_server_name: tlsServerName && !isHostName(tlsServerName) && 'must be a host name',
    tls_ca: tlsCa == null ? undefined : certificatesError(tlsCa),
    tls_certificate: ownTls && ownCertificateError(ownTls),
    tls_key: ownTls && ownKeyError(ownTls),
    carrier_mps: carrierMps && carrierMpsError(carrierMps),
    error_map: errorMap && errorMapError(errorMap),
  }
  return Object.fromEntries(Object.entries(errors).filter((entry): entry is [string, string] => Boolean(entry[1])))
}

/** Rejects a name that looks like an id, because the command line accepts a connection's name or id. */
function nameError(name: string): string | undefined {
  return /^\d+$/.test(name) ? 'must not be a number' : undefined
}

function hostError(host: string, mode: 'sandbox' | 'production'): string | undefined {
  if (isIP(host) === 0 && !isHostName(host)) return 'must be a host name or an IP address'
  if (mode === 'sandbox' && !isLoopbackHost(host)) return 'must be this machine (127.0.0.1) in sandbox mode'
  return undefined
}

function isHostName(host: string): boolean {
  return /^[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*\.?$/i.test(host)
}

function ownCertificateError({ certificate, key: secret }: OwnTls): string | undefined {
  if (certificate === null) return secret === null ? undefined : 'is required with tls_key'
  const error = certificatesError(certificate)
  if (error !== undefined || secret === null) return error
  const key = readKey(secret)
  const [own] = certificatesIn(certificate)
  return key && own && !own.checkPrivateKey(key) ? 'does not belong to the key' : undefined
}

function ownKeyError({ certificate, key }: OwnTls): string | undefined {
  if (key === null) return certificate === null ? undefined : 'is required with tls_certificate'
  if (/ENCRYPTED/.test(key.reveal())) return 'must not be encrypted; it is stored sealed'
  return readKey(key) ? undefined : 'must be a private key in PEM'
}

function readKey(key: Secret): KeyObject | undefined {
  try {
    return createPrivateKey(key.reveal())
  } catch {
    return undefined
  }
}

const block = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

function certificatesError(pem: string): string | undefined {
  try {
    const certificates = certificatesIn(pem)
    // the API returns certificates, so a private key that was pasted with them would be exposed
    if (/PRIVATE KEY-----/.test(pem)) return 'must not contain a private key'
    return certificates.length > 0 ? undefined : 'must be a certificate in PEM'
  } catch {
    return 'contains a certificate that cannot be parsed'
  }
}

function certificatesIn(pem: string): X509Certificate[] {
  return [...pem.matchAll(block)].map(([certificate]) => new X509Certificate(certificate))
}

function carrierMpsError(carrierMps: Record<string, number>): string | undefined {
  const ids = Object.keys(carrierMps)
  if (ids.length > 500) return 'has too many carriers (maximum is 500)'
  return ids.every((id) => /^[1-9]\d{0,8}$/.test(id)) ? undefined : 'must have carrier ids as keys'
}

function errorMapError(map: ErrorMap): string | undefined {
  const unknownKey = Object.keys(map).find((key) => key !== 'receipt' && key !== 'status')
  if (unknownKey !== undefined) return `must have the keys receipt and status only, not ${shorten(unknownKey)}`
  const codes = Object.keys({ ...map.receipt })
  const statuses = Object.keys({ ...map.status })
  if (codes.length + statuses.length > 1_000) return 'has too many codes (maximum is 1000)'
  const badCode = codes.find((code) => !/^([0-9a-z_-][0-9a-z_.-]{0,39}|[a-z][0-9a-z_. -]{0,39})$/i.test(code))
  if (badCode !== undefined) return `has an invalid receipt code: ${shorten(badCode)}`
  const twice = findRepeated(codes, normalizeCode)
  if (twice !== undefined) return `has the receipt code ${shorten(twice)} twice; case and leading zeros are ignored`
  const badStatus = statuses.find((status) => !isStatus(status))
  if (badStatus !== undefined)
    return `has an invalid command_status: ${shorten(badStatus)} (0x45 and ESME_RSUBMITFAIL are valid)`
  const statusTwice = findRepeated(statuses, (key) => String(parseStatusKey(key)))
  if (statusTwice !== undefined) return `has the command_status ${shorten(statusTwice)} twice`
  const mapped = [...Object.values({ ...map.receipt }), ...Object.values({ ...map.status })]
  const unknown = mapped.find((status) => !mappedStatuses.includes(status))
  if (unknown !== undefined) return `must map codes to ${mappedStatuses.join(', ')}, not ${shorten(unknown)}`
  // a rejected text has no id to which another receipt could refer
  const noEffect = Object.values({ ...map.status }).find((status) => status === 'delivered' || status === 'not_final')
  return noEffect === undefined ? undefined : `must not map a command_status to ${noEffect}`
}

/** Returns the first key that has the same normal form as an earlier one: one of the two entries would have no effect. */
function findRepeated(keys: string[], normalize: (key: string) => string): string | undefined {
  const seen = new Set<string>()
  return keys.find((key) => seen.size === seen.add(normalize(key)).size)
}

/** Returns at most 40 characters of a value, for an error message. */
function shorten(value: string): string {
  return value.slice(0, 40)
}

function isStatus(key: string): boolean {
  const status = /^(0x[0-9a-f]{1,8}|\d{1,10}|ESME_\w+)$/i.test(key) ? parseStatusKey(key) : Number.NaN
  return Number.isInteger(status) && status >= 1 && status <= 0xffff_ffff
}
