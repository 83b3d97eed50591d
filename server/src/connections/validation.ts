import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Secret } from '../config/secret.ts'
import { isLoopbackHost } from '../lib/address-ranges.ts'
import { type ErrorMap, mappedStatuses } from './connection.ts'
import { statusOfKey } from './status-map.ts'

// What a schema cannot say of a connection. Each answers what is wrong in words that complete "<field> ...".

/** What is looked at; undefined is not. */
export type CheckedSettings = {
  name?: string | undefined
  host?: string | undefined
  tlsCa?: string | null | undefined
  tlsServerName?: string | null | undefined
  carrierMps?: Record<string, number> | undefined
  errorMap?: ErrorMap | undefined
  /** Our certificate and its key as they are going to be, where either changes. */
  ownTls?: OwnTls | undefined
}
export type OwnTls = { certificate: string | null; key: Secret | null }

/** All that is wrong with what is given, by field. */
export function findSettingErrors(given: CheckedSettings, mode: 'sandbox' | 'production'): Record<string, string> {
  const { name, host, tlsCa, tlsServerName, carrierMps, errorMap, ownTls } = given
  const faults = {
    name: name && faultOfName(name),
    host: host && faultOfHost(host, mode),
    tls_server_name: tlsServerName && !isHostName(tlsServerName) && 'must be a host name',
    tls_ca: tlsCa == null ? undefined : faultOfCertificates(tlsCa),
    tls_certificate: ownTls && faultOfOwnCertificate(ownTls),
    tls_key: ownTls && faultOfKey(ownTls),
    carrier_mps: carrierMps && faultOfCarriers(carrierMps),
    error_map: errorMap && faultOfErrorMap(errorMap),
  }
  return Object.fromEntries(Object.entries(faults).filter((entry): entry is [string, string] => Boolean(entry[1])))
}

/** Digits alone would look like an id to the command line. */
function faultOfName(name: string): string | undefined {
  return /^\d+$/.test(name) ? 'must not be a number' : undefined
}

function faultOfHost(host: string, mode: 'sandbox' | 'production'): string | undefined {
  if (isIP(host) === 0 && !isHostName(host)) return 'must be a host name or an IP address'
  if (mode === 'sandbox' && !isLoopbackHost(host)) return 'must be this machine (127.0.0.1) in sandbox mode'
  return undefined
}

function isHostName(host: string): boolean {
  return /^[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*\.?$/i.test(host)
}

function faultOfOwnCertificate({ certificate, key: secret }: OwnTls): string | undefined {
  if (certificate === null) return secret === null ? undefined : 'is needed along with its key'
  const fault = faultOfCertificates(certificate)
  if (fault !== undefined || secret === null) return fault
  const key = readKey(secret)
  const [own] = certificatesIn(certificate)
  return key && own && !own.checkPrivateKey(key) ? 'does not belong to the key' : undefined
}

function faultOfKey({ certificate, key }: OwnTls): string | undefined {
  if (key === null) return certificate === null ? undefined : 'is needed along with its certificate'
  if (/ENCRYPTED/.test(key.reveal())) return 'must not be encrypted: it is kept sealed here'
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

function faultOfCertificates(pem: string): string | undefined {
  try {
    const certificates = certificatesIn(pem)
    // a key that was pasted along would be shown to whoever reads the connection
    if (/PRIVATE KEY-----/.test(pem)) return 'must not have a private key in it'
    return certificates.length > 0 ? undefined : 'must be a certificate in PEM'
  } catch {
    return 'has a certificate that cannot be read'
  }
}

function certificatesIn(pem: string): X509Certificate[] {
  return [...pem.matchAll(block)].map(([text]) => new X509Certificate(text))
}

function faultOfCarriers(carrierMps: Record<string, number>): string | undefined {
  const ids = Object.keys(carrierMps)
  if (ids.length > 500) return 'has too many carriers (maximum is 500)'
  return ids.every((id) => /^[1-9]\d{0,8}$/.test(id)) ? undefined : "must have carriers' ids as keys"
}

function faultOfErrorMap(map: ErrorMap): string | undefined {
  const stranger = Object.keys(map).find((key) => key !== 'receipt' && key !== 'status')
  if (stranger !== undefined) return 'has receipt and status, and nothing else'
  const codes = Object.keys({ ...map.receipt })
  const statuses = Object.keys({ ...map.status })
  if (codes.length + statuses.length > 1_000) return 'has too many codes (maximum is 1000)'
  if (!codes.every((code) => /^[0-9a-z_-]{1,20}$/i.test(code))) return 'has a receipt code that is none'
  if (!statuses.every(isStatus)) return 'has a status that is no command_status, such as 0x45 or ESME_RSUBMITFAIL'
  const meant = [...Object.values({ ...map.receipt }), ...Object.values({ ...map.status })]
  if (!meant.every((meaning) => mappedStatuses.includes(meaning))) return `must map to ${mappedStatuses.join(', ')}`
  return Object.values({ ...map.status }).includes('delivered') ? 'cannot call a refused text delivered' : undefined
}

function isStatus(key: string): boolean {
  const status = /^(0x[0-9a-f]{1,8}|\d{1,10}|ESME_\w+)$/i.test(key) ? statusOfKey(key) : Number.NaN
  return Number.isInteger(status) && status >= 1 && status <= 0xffff_ffff
}
