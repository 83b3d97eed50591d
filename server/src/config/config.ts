import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { isLoopbackHost, loopbackRanges } from '../lib/address-ranges.ts'
import { readAuthorities } from '../lib/trusted-authorities.ts'
import { type AccountCaps, capsWith } from './caps.ts'
import type { SmppAddress } from './parsers.ts'
import { readS3Location, type S3Location } from './s3-location.ts'
import type { Secret } from './secret.ts'
import { type Setting, type SettingName, type SettingValue, settings } from './settings.ts'

export type Config = {
  mode: 'sandbox' | 'production'
  /** `trustedProxies` are the ranges of the proxies that state the address of a client. */
  http: {
    host: string
    port: number
    publicUrl: string
    /** Base of the short URLs of tracked links. */
    linkUrl: string
    trustedProxies: string[]
    maxSockets: number
    bufferBytes: number
  }
  /** An absolute path. */
  dataDir: string
  /** URL of an external server; undefined if the supervisor runs the embedded PostgreSQL. */
  databaseUrl: Secret | undefined
  smpp: SmppAddress | undefined
  /** 64 hex digits; encrypts secrets in the database. */
  secretKey: Secret | undefined
  rateLimit: 'vendor' | 'default' | 'off'
  /** Limit of the calls of all keys of an account, `calls/seconds` or `off`; not applied if `rateLimit` is off. */
  accountRateLimit: string
  /** Maximum number of requests of an account that an api process handles at a time. */
  accountConcurrency: number
  /** Limits of the uploads of one api process. */
  uploads: { places: number; perAccount: number; diskBytes: number }
  /** The maximum numbers of what an account or a list can have. */
  caps: AccountCaps
  sandbox: { email: string; apiKey: Secret | undefined }
  simulator: {
    latencyMs: number
    receiptDelayMs: number
    smppPort: number
    /** The port for TLS and the file with a certificate and its key; undefined without TLS. */
    tls?: { port: number; file: string } | undefined
    controlPort: number
    controlUrl: string | undefined
    rawFile: string
    /** Size from which the raw file is rotated. */
    rawFileBytes: number
  }
  send: { leaseMs: number; responseDeadlineMs: number; receiptDeadlineMs: number }
  /** Private ranges that may be called, including loopback in the sandbox, where webhooks may be received locally. */
  allowPrivateUrls: string[]
  /** File with certificates of authorities that webhooks and the look-up trust in addition to the public ones. */
  extraCaFile: string | undefined
  /** Days for which events and attempts to deliver them are kept. */
  eventDays: number
  /** An absolute path. */
  filesDir: string
  /** The bucket that has the files of reports instead of the directory. */
  s3: S3Location | undefined
  /** Days for which the files of reports are kept. */
  reportDays: number
  clickDays: number
  /** Days for which the message log is kept in the database; 0 keeps all days. */
  messageLogDays: number
  /** The number service; numbers are not looked up if `url` is undefined. */
  lookUp: { url: string | undefined; token: Secret | undefined; timeoutMs: number; cacheDays: number }
  /** Bearer token that /metrics accepts from other machines. */
  metricsToken: Secret | undefined
  logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
  /** Size at which a log file is rotated. */
  logFileBytes: number
  /** The log file of a role; standard output if undefined. */
  logFile: string | undefined
}

/** Thrown for invalid settings; the message lists all of them, one per line. */
export class ConfigError extends Error {
  readonly faults: readonly string[]

  constructor(faults: string[]) {
    super(`The settings cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.name = 'ConfigError'
    this.faults = faults
  }
}

export type Env = Readonly<Record<string, string | undefined>>

const checkout = fileURLToPath(new URL('../../../', import.meta.url))

/** Returns the frozen settings of an environment; throws a ConfigError that lists all invalid settings. */
export function readEnv(env: Env): Config {
  const faults: string[] = []
  const texts = readTexts(env, faults)
  const read = <N extends SettingName>(name: N) => readSetting(name, texts.get(name), faults) as SettingValue<N>

  const mode = read('CARILLON_MODE')
  const dataDir = resolve(checkout, read('CARILLON_DATA_DIR'))
  const host = read('CARILLON_HOST')
  const port = read('CARILLON_PORT')
  const rawFile = read('CARILLON_SIMULATOR_RAW_FILE')
  const logFile = read('CARILLON_LOG_FILE')
  const tlsFile = read('CARILLON_SIMULATOR_TLS_FILE')
  const extraCaFile = read('CARILLON_EXTRA_CA_FILE')
  const filesDir = read('CARILLON_FILES_DIR')
  const publicUrl = read('CARILLON_PUBLIC_URL') ?? listenUrl(host, port)
  const config: Config = {
    mode,
    http: {
      host,
      port,
      publicUrl,
      linkUrl: read('CARILLON_LINK_URL') ?? publicUrl,
      trustedProxies: read('CARILLON_TRUSTED_PROXIES'),
      maxSockets: read('CARILLON_MAX_SOCKETS'),
      bufferBytes: read('CARILLON_BUFFER_MB') * 1_000_000,
    },
    dataDir,
    databaseUrl: read('DATABASE_URL'),
    smpp: read('CARILLON_SMPP_URL'),
    secretKey: read('CARILLON_SECRET_KEY'),
    rateLimit: read('CARILLON_RATE_LIMIT'),
    accountRateLimit: read('CARILLON_ACCOUNT_RATE_LIMIT'),
    accountConcurrency: read('CARILLON_ACCOUNT_CONCURRENCY'),
    uploads: {
      places: read('CARILLON_UPLOAD_PLACES'),
      perAccount: read('CARILLON_UPLOAD_PLACES_PER_ACCOUNT'),
      diskBytes: read('CARILLON_UPLOAD_DISK_MB') * 1_000_000,
    },
    caps: capsWith(read('CARILLON_CAPS')),
    sandbox: { email: read('CARILLON_SANDBOX_EMAIL'), apiKey: read('CARILLON_SANDBOX_API_KEY') },
    simulator: {
      latencyMs: read('CARILLON_SIMULATOR_LATENCY_MS'),
      receiptDelayMs: read('CARILLON_SIMULATOR_RECEIPT_DELAY_MS'),
      smppPort: read('CARILLON_SIMULATOR_SMPP_PORT'),
      tls: tlsFile ? { port: read('CARILLON_SIMULATOR_TLS_PORT'), file: resolve(checkout, tlsFile) } : undefined,
      controlPort: read('CARILLON_SIMULATOR_PORT'),
      controlUrl: read('CARILLON_SIMULATOR_URL'),
      rawFile: rawFile ? resolve(checkout, rawFile) : join(dataDir, 'simulator', 'submits.raw'),
      rawFileBytes: read('CARILLON_SIMULATOR_RAW_FILE_MB') * 1_000_000,
    },
    send: {
      leaseMs: read('CARILLON_LEASE_MS'),
      responseDeadlineMs: read('CARILLON_RESPONSE_DEADLINE_MS'),
      receiptDeadlineMs: read('CARILLON_RECEIPT_DEADLINE_S') * 1_000,
    },
    eventDays: read('CARILLON_EVENT_DAYS'),
    filesDir: filesDir ? resolve(checkout, filesDir) : join(dataDir, 'files'),
    s3: readS3Location(read, (name) => texts.has(name), faults),
    reportDays: read('CARILLON_REPORT_DAYS'),
    clickDays: read('CARILLON_CLICK_DAYS'),
    messageLogDays: read('CARILLON_MESSAGE_LOG_DAYS'),
    allowPrivateUrls: [...read('CARILLON_ALLOW_PRIVATE_URLS'), ...(mode === 'sandbox' ? loopbackRanges : [])],
    extraCaFile: extraCaFile ? resolve(checkout, extraCaFile) : undefined,
    lookUp: {
      url: read('CARILLON_LOOKUP_URL'),
      token: read('CARILLON_LOOKUP_TOKEN'),
      timeoutMs: read('CARILLON_LOOKUP_TIMEOUT_MS'),
      cacheDays: read('CARILLON_LOOKUP_CACHE_DAYS'),
    },
    metricsToken: read('CARILLON_METRICS_TOKEN'),
    logLevel: read('CARILLON_LOG_LEVEL'),
    logFileBytes: read('CARILLON_LOG_FILE_MB') * 1_000_000,
    logFile: logFile ? resolve(checkout, logFile) : undefined,
  }
  checkMode(config, texts, faults)
  checkTlsFile(config, faults)
  checkExtraCaFile(config, faults)
  if (faults.length > 0) throw new ConfigError(faults)
  return deepFreeze(config)
}

/** Returns the location of the data; ignores invalid values of other settings, which commands do not use. */
export function readDataLocation(env: Env): Pick<Config, 'mode' | 'dataDir' | 'databaseUrl' | 'logFileBytes'> {
  return readSome(env, (read) => ({
    mode: read('CARILLON_MODE'),
    dataDir: resolve(checkout, read('CARILLON_DATA_DIR')),
    databaseUrl: read('DATABASE_URL'),
    logFileBytes: read('CARILLON_LOG_FILE_MB') * 1_000_000,
  }))
}

/** Returns the settings of connections; ignores invalid values of other settings. */
export function readConnectionSettings(env: Env): Pick<Config, 'smpp' | 'secretKey'> {
  return readSome(env, (read) => ({ smpp: read('CARILLON_SMPP_URL'), secretKey: read('CARILLON_SECRET_KEY') }))
}

/** Returns the settings of the file store; ignores invalid values of other settings. */
export function readFileSettings(env: Env): Pick<Config, 'filesDir' | 's3' | 'extraCaFile'> {
  return readSome(env, (read, isSet, faults) => {
    const filesDir = read('CARILLON_FILES_DIR')
    const extraCaFile = read('CARILLON_EXTRA_CA_FILE')
    const dataDir = resolve(checkout, read('CARILLON_DATA_DIR'))
    return {
      filesDir: filesDir ? resolve(checkout, filesDir) : join(dataDir, 'files'),
      s3: readS3Location(read, isSet, faults),
      extraCaFile: extraCaFile && resolve(checkout, extraCaFile),
    }
  })
}

type Read = <N extends SettingName>(name: N) => SettingValue<N>

function readSome<T>(env: Env, pick: (read: Read, isSet: (name: SettingName) => boolean, faults: string[]) => T): T {
  const faults: string[] = []
  const texts = readTexts(env, faults)
  const read: Read = (name) => readSetting(name, texts.get(name), faults) as SettingValue<typeof name>
  const some = pick(read, (name) => texts.has(name), faults)
  if (faults.length > 0) throw new ConfigError(faults)
  return some
}

/** Returns the values that are set. An empty value counts as absent, because a line of .env may have no value. */
function readTexts(env: Env, faults: string[]): Map<SettingName, string> {
  const texts = new Map<SettingName, string>()
  for (const name of settingNames) {
    const text = env[name]?.trim()
    const file = isSecret(name) ? env[`${name}_FILE`]?.trim() : undefined
    if (text && file) faults.push(`${name} and ${name}_FILE are both set`)
    if (text) texts.set(name, text)
    else if (file) readSecretFile(name, file, texts, faults)
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith('CARILLON_') && !isKnown(name)) faults.push(`${name} is not a setting`)
  }
  return texts
}

function readSecretFile(name: SettingName, file: string, texts: Map<SettingName, string>, faults: string[]) {
  try {
    texts.set(name, readFileSync(resolve(checkout, file), 'utf8').trim())
  } catch (e) {
    faults.push(`${name}_FILE cannot be read: ${(e as Error).message}`)
  }
}

const settingNames = Object.keys(settings) as SettingName[]

function isSecret(name: SettingName): boolean {
  return (settings[name] as Setting<unknown>).secret === true
}

/** Returns whether a name is a setting, a secret's file, or has the prefix of tests or benchmarks; others are misspelled. */
function isKnown(name: string): boolean {
  if (/^CARILLON_(TEST|BENCH)_/.test(name) || Object.hasOwn(settings, name)) return true
  const secret = settingNames.find((setting) => name === `${setting}_FILE`)
  return secret !== undefined && isSecret(secret)
}

/** Returns the parsed value; for an invalid value, adds a fault and returns the default, so that all faults are found. */
function readSetting(name: SettingName, text: string | undefined, faults: string[]): unknown {
  const setting: Setting<unknown> = settings[name]
  try {
    if (text !== undefined) return setting.parse(text)
  } catch (e) {
    faults.push(`${name} ${(e as Error).message}`)
  }
  return setting.default === undefined ? undefined : setting.parse(setting.default)
}

/** Checks the certificate before any role starts, so that the error is reported with the other faults. */
function checkTlsFile({ simulator }: Config, faults: string[]) {
  if (!simulator.tls) return
  try {
    const pem = readFileSync(simulator.tls.file)
    createSecureContext({ cert: pem, key: pem })
  } catch (e) {
    faults.push(`CARILLON_SIMULATOR_TLS_FILE cannot be used: ${(e as Error).message}`)
  }
}

/** Checks the certificates before any role starts. */
function checkExtraCaFile({ extraCaFile }: Config, faults: string[]) {
  try {
    if (extraCaFile !== undefined) readAuthorities(extraCaFile)
  } catch (e) {
    faults.push(`CARILLON_EXTRA_CA_FILE cannot be used: ${(e as Error).message}`)
  }
}

function checkMode(config: Config, texts: Map<SettingName, string>, faults: string[]) {
  if (config.mode === 'sandbox') {
    if (config.smpp && !isLoopbackHost(config.smpp.host)) {
      faults.push(
        'CARILLON_SMPP_URL must point to loopback in sandbox mode; set CARILLON_MODE=production to send to real phones',
      )
    }
    return
  }
  for (const name of texts.keys()) {
    const { sandboxOnly }: Setting<unknown> = settings[name]
    if (sandboxOnly) faults.push(`${name} is accepted in sandbox mode only`)
  }
}

/** Returns a URL on this machine; a server that listens on all addresses is called by the name localhost. */
export function listenUrl(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null && !Object.isFrozen(part)) deepFreeze(part)
  }
  return Object.freeze(value)
}
