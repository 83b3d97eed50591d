// The settings that the control API changes at run time, with their JSON names.

import { commandStatus, statusName } from '../smpp/pdu/command-status.ts'
import type { ReceiptState } from './fates.ts'
import { type IdSpelling, idSpellings } from './smsc-id.ts'

export type Settings = {
  latencyMs: number
  /** Maximum additional latency, drawn for each response, so that responses are sent out of order. */
  latencyJitterMs: number
  receiptDelayMs: number
  /** Outcomes in percent, for numbers without a fate. */
  receiptMix: { delivered: number; hard: number; soft: number; none: number }
  /** The `err` field of receipts, by state. */
  receiptError: Record<ReceiptState, string>
  /** The PDU of receipts. */
  receiptPdu: 'deliver_sm' | 'data_sm'
  /** Number of times each receipt is sent. */
  receiptCount: number
  /** Responses wait until their receipts are acknowledged. */
  receiptsFirst: boolean
  /** While true, no receipt is sent, but texts of handsets are. */
  pauseReceipts: boolean
  /** Maximum number of submit_sm in any second; further ones get ESME_RTHROTTLED. */
  throttle: { mps: number } | null
  /** Rejects this percentage of the texts that would be accepted. */
  reject: { status: number; percent: number } | null
  /** Percentage of accepted texts whose response is never sent. */
  loseResponses: number
  /** Drops a bind at its n-th message, before the response; `times` in all. */
  dropAfter: DropRule | null
  /** The charset of data_coding 0 in texts to handsets. */
  charset: 'gsm7' | 'latin1'
  echoReference: boolean
  receiptTlvs: boolean
  /** While false, the simulator reads and sends nothing, on existing and new binds. */
  responding: boolean
  idForm: IdSpelling
  receiptIdForm: IdSpelling
  /** Maximum number of binds; a further one gets ESME_RALYBND. */
  maxBinds: number | null
}

export type DropRule = { submits: number; times: number | null }

export class SettingsError extends Error {
  readonly details: Record<string, string[]>

  constructor(details: Record<string, string[]>) {
    super(`Invalid settings: ${Object.keys(details).join(', ')}`)
    this.name = 'SettingsError'
    this.details = details
  }
}

export function initialSettings(latencyMs: number, receiptDelayMs: number): Settings {
  return {
    latencyMs,
    latencyJitterMs: 0,
    receiptDelayMs,
    receiptMix: { delivered: 100, hard: 0, soft: 0, none: 0 },
    // error codes of MAP (3GPP TS 29.002): 1 is an unknown subscriber (permanent), 27 an absent one (temporary)
    receiptError: { delivered: '000', hard: '001', soft: '027', expired: '000', deleted: '000' },
    receiptPdu: 'deliver_sm',
    receiptCount: 1,
    receiptsFirst: false,
    pauseReceipts: false,
    throttle: null,
    reject: null,
    loseResponses: 0,
    dropAfter: null,
    charset: 'gsm7',
    echoReference: true,
    receiptTlvs: true,
    responding: true,
    idForm: 'hex',
    receiptIdForm: 'hex',
    maxBinds: null,
  }
}

/** An invalid value; the message continues the setting's name. */
class InvalidValue extends Error {}

/** A setting's JSON name, its parser (which throws InvalidValue) and its presenter, unless the JSON value is the value. */
type Format<T> = { name: string; read(value: unknown, now: T): T; present?(value: T): unknown }

const HOUR_MS = 3_600_000
const OUTCOMES = ['delivered', 'hard', 'soft', 'none'] as const
const RECEIPT_STATES = ['delivered', 'hard', 'soft', 'expired', 'deleted'] as const
const RECEIPT_PDUS = ['deliver_sm', 'data_sm'] as const
const CHARSETS = ['gsm7', 'latin1'] as const
const ERROR_CODE = /^[0-9A-Za-z]{1,10}$/

const formats: { [K in keyof Settings]: Format<Settings[K]> } = {
  latencyMs: { name: 'latency_ms', read: wholeNumber(0, HOUR_MS) },
  latencyJitterMs: { name: 'latency_jitter_ms', read: wholeNumber(0, HOUR_MS) },
  receiptDelayMs: { name: 'receipt_delay_ms', read: wholeNumber(0, HOUR_MS) },
  receiptMix: { name: 'receipt_mix', read: readMix },
  receiptError: { name: 'receipt_error', read: readErrors },
  receiptPdu: { name: 'receipt_pdu', read: oneOf(RECEIPT_PDUS) },
  receiptCount: { name: 'receipt_count', read: wholeNumber(1, 5) },
  receiptsFirst: { name: 'receipts_first', read: readBoolean },
  pauseReceipts: { name: 'pause_receipts', read: readBoolean },
  throttle: { name: 'throttle', read: orNull(readThrottle) },
  reject: {
    name: 'reject',
    read: orNull(readRejection),
    present: (reject) => reject && { ...reject, status: statusName(reject.status) },
  },
  loseResponses: { name: 'lose_responses', read: percent },
  dropAfter: { name: 'drop_after', read: orNull(readDropRule) },
  charset: { name: 'charset', read: oneOf(CHARSETS) },
  echoReference: { name: 'echo_reference', read: readBoolean },
  receiptTlvs: { name: 'receipt_tlvs', read: readBoolean },
  responding: { name: 'responding', read: readBoolean },
  idForm: { name: 'id_form', read: oneOf(idSpellings) },
  receiptIdForm: { name: 'receipt_id_form', read: oneOf(idSpellings) },
  maxBinds: { name: 'max_binds', read: orNull(wholeNumber(0, 1_000)) },
}

const keys = Object.keys(formats) as (keyof Settings)[]
const keyByName = new Map<string, keyof Settings>(keys.map((key) => [formats[key].name, key]))

/** Returns the settings with the changes of `body`; throws SettingsError with all invalid fields. */
export function changeSettings(settings: Settings, body: unknown): Settings {
  if (!isObject(body)) throw new SettingsError({ body: ['is not an object'] })
  const details: Record<string, string[]> = {}
  const changed = { ...settings }
  for (const [name, value] of Object.entries(body)) {
    const key = keyByName.get(name)
    const problem = key ? change(changed, key, value) : 'is not a setting'
    if (problem) details[name] = [problem]
  }
  if (Object.keys(details).length > 0) throw new SettingsError(details)
  return changed
}

export function presentSettings(settings: Settings): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [formats[key].name, present(settings, key)]))
}

function change<K extends keyof Settings>(settings: Settings, key: K, value: unknown): string | undefined {
  try {
    settings[key] = formats[key].read(value, settings[key])
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
    return error.message
  }
}

function present<K extends keyof Settings>(settings: Settings, key: K): unknown {
  const format = formats[key]
  return format.present ? format.present(settings[key]) : settings[key]
}

function orNull<T>(read: (value: unknown) => T) {
  return (value: unknown): T | null => (value === null ? null : read(value))
}

function wholeNumber(min: number, max: number) {
  return (value: unknown): number => {
    if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value)
    throw new InvalidValue(`is not a whole number from ${min} to ${max}`)
  }
}

function percent(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= 100) return value
  throw new InvalidValue('is not a percentage from 0 to 100')
}

function readBoolean(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new InvalidValue('is neither true nor false')
}

function oneOf<T extends string>(known: readonly T[]) {
  return (value: unknown): T => {
    const found = known.find((name) => name === value)
    if (found) return found
    throw new InvalidValue(`is not one of ${known.join(', ')}`)
  }
}

/** Reads percentages; omitted ones are 0. */
function readMix(value: unknown): Settings['receiptMix'] {
  const mix = { delivered: 0, hard: 0, soft: 0, none: 0 }
  for (const [outcome, share] of entriesOf(value, OUTCOMES)) {
    if (typeof share !== 'number' || !(share >= 0)) throw new InvalidValue(`${outcome} is not a percentage`)
    mix[outcome] = share
  }
  const sum = mix.delivered + mix.hard + mix.soft + mix.none
  if (Math.abs(sum - 100) > 0.001) throw new InvalidValue(`adds up to ${sum}, not 100`)
  return mix
}

/** Reads error codes; omitted ones stay unchanged. */
function readErrors(value: unknown, now: Settings['receiptError']): Settings['receiptError'] {
  const errors = { ...now }
  for (const [outcome, code] of entriesOf(value, RECEIPT_STATES)) {
    if (typeof code !== 'string' || !ERROR_CODE.test(code)) throw new InvalidValue(`${outcome} is not an error code`)
    errors[outcome] = code
  }
  return errors
}

function entriesOf<N extends string>(value: unknown, names: readonly N[]): [N, unknown][] {
  if (!isObject(value)) throw new InvalidValue(`is not an object of ${names.join(', ')}`)
  return Object.entries(value).map(([name, entry]) => {
    const known = names.find((candidate) => candidate === name)
    if (!known) throw new InvalidValue(`${name} is not one of ${names.join(', ')}`)
    return [known, entry]
  })
}

function readThrottle(value: unknown): NonNullable<Settings['throttle']> {
  if (!isObject(value)) throw new InvalidValue('is neither null nor { "mps": number }')
  return { mps: wholeNumber(1, 1_000_000)(value.mps) }
}

/** Reads a status given by name, as a number, or as a hex string; ESME_ROK is invalid. */
function readRejection(value: unknown): NonNullable<Settings['reject']> {
  if (!isObject(value)) throw new InvalidValue('is neither null nor { "status": name or number, "percent": number }')
  const status = typeof value.status === 'string' ? readStatusName(value.status) : value.status
  if (typeof status !== 'number' || !Number.isInteger(status) || status <= 0 || status > 0xffff_ffff) {
    throw new InvalidValue('status is not a command_status')
  }
  return { status, percent: percent(value.percent ?? 100) }
}

function readStatusName(name: string): number | undefined {
  if (Object.hasOwn(commandStatus, name)) return commandStatus[name as keyof typeof commandStatus]
  return /^0x[0-9a-f]{1,8}$/i.test(name) ? Number(name) : undefined
}

function readDropRule(value: unknown): DropRule {
  if (!isObject(value)) throw new InvalidValue('is neither null nor { "submits": number, "times": number or null }')
  const submits = wholeNumber(1, 1_000_000_000)(value.submits)
  return { submits, times: orNull(wholeNumber(1, 1_000_000))(value.times ?? null) }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
