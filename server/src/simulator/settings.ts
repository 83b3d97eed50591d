// What the control API can turn while the simulator runs, and the only place that knows how a setting is spelt in JSON.

import { commandStatus, statusName } from '../smpp/pdu/command-status.ts'
import type { ReceiptState } from './fates.ts'
import { type IdSpelling, idSpellings } from './smsc-id.ts'

export type Settings = {
  latencyMs: number
  /** So much more at most, drawn anew for each answer: they leave out of order. */
  latencyJitterMs: number
  receiptDelayMs: number
  /** Per cent; for numbers that choose no fate. */
  receiptMix: { delivered: number; hard: number; soft: number; none: number }
  /** The err of each outcome's receipts. */
  receiptError: Record<ReceiptState, string>
  /** What carries receipts. */
  receiptPdu: 'deliver_sm' | 'data_sm'
  /** How often each receipt is sent. */
  receiptCount: number
  /** Answers wait until their receipts were answered. */
  receiptsFirst: boolean
  /** While true no receipt leaves; texts of handsets do. */
  holdReceipts: boolean
  /** The most submit_sm in any second; the rest is answered with ESME_RTHROTTLED. */
  throttle: { mps: number } | null
  /** A share of what would be taken is refused instead. */
  refuse: { status: number; percent: number } | null
  /** Per cent of the answers to what was taken that are never sent. */
  loseAnswers: number
  /** A bind is cut when it has submitted so many messages, before they are answered; `times` in all. */
  dropAfter: DropRule | null
  /** What data_coding 0 means for texts to handsets. */
  charset: 'gsm7' | 'latin1'
  echoReference: boolean
  receiptTlvs: boolean
  /** While false nothing is read and nothing is sent, on binds old and new. */
  answer: boolean
  idForm: IdSpelling
  receiptIdForm: IdSpelling
  /** The most binds at once; one more is refused as already bound. */
  maxBinds: number | null
}

export type DropRule = { submits: number; times: number | null }

export class SettingsError extends Error {
  readonly details: Record<string, string[]>

  constructor(details: Record<string, string[]>) {
    super(`Settings not understood: ${Object.keys(details).join(', ')}`)
    this.name = 'SettingsError'
    this.details = details
  }
}

export function startingSettings(latencyMs: number, receiptDelayMs: number): Settings {
  return {
    latencyMs,
    latencyJitterMs: 0,
    receiptDelayMs,
    receiptMix: { delivered: 100, hard: 0, soft: 0, none: 0 },
    // The codes are those of MAP (3GPP TS 29.002): 1 is an unknown subscriber, who never comes back; 27 an absent one.
    receiptError: { delivered: '000', hard: '001', soft: '027', expired: '000', deleted: '000' },
    receiptPdu: 'deliver_sm',
    receiptCount: 1,
    receiptsFirst: false,
    holdReceipts: false,
    throttle: null,
    refuse: null,
    loseAnswers: 0,
    dropAfter: null,
    charset: 'gsm7',
    echoReference: true,
    receiptTlvs: true,
    answer: true,
    idForm: 'hex',
    receiptIdForm: 'hex',
    maxBinds: null,
  }
}

/** What is wrong with a value, in words that follow the setting's name. */
class Fault extends Error {}

/** A setting's name in JSON, how it is read (throwing a Fault) and, where that is not the value itself, shown. */
type Spelling<T> = { name: string; read(value: unknown, now: T): T; present?(value: T): unknown }

const HOUR_MS = 3_600_000
const OUTCOMES = ['delivered', 'hard', 'soft', 'none'] as const
const ENDINGS = ['delivered', 'hard', 'soft', 'expired', 'deleted'] as const
const RECEIPT_PDUS = ['deliver_sm', 'data_sm'] as const
const CHARSETS = ['gsm7', 'latin1'] as const
const ERROR_CODE = /^[0-9A-Za-z]{1,10}$/

const spellings: { [K in keyof Settings]: Spelling<Settings[K]> } = {
  latencyMs: { name: 'latency_ms', read: wholeNumber(0, HOUR_MS) },
  latencyJitterMs: { name: 'latency_jitter_ms', read: wholeNumber(0, HOUR_MS) },
  receiptDelayMs: { name: 'receipt_delay_ms', read: wholeNumber(0, HOUR_MS) },
  receiptMix: { name: 'receipt_mix', read: readMix },
  receiptError: { name: 'receipt_error', read: readErrors },
  receiptPdu: { name: 'receipt_pdu', read: oneOf(RECEIPT_PDUS) },
  receiptCount: { name: 'receipt_count', read: wholeNumber(1, 5) },
  receiptsFirst: { name: 'receipts_first', read: yesOrNo },
  holdReceipts: { name: 'hold_receipts', read: yesOrNo },
  throttle: { name: 'throttle', read: orNull(readThrottle) },
  refuse: {
    name: 'refuse',
    read: orNull(readRefusal),
    present: (refuse) => refuse && { ...refuse, status: statusName(refuse.status) },
  },
  loseAnswers: { name: 'lose_answers', read: percent },
  dropAfter: { name: 'drop_after', read: orNull(readDropRule) },
  charset: { name: 'charset', read: oneOf(CHARSETS) },
  echoReference: { name: 'echo_reference', read: yesOrNo },
  receiptTlvs: { name: 'receipt_tlvs', read: yesOrNo },
  answer: { name: 'answer', read: yesOrNo },
  idForm: { name: 'id_form', read: oneOf(idSpellings) },
  receiptIdForm: { name: 'receipt_id_form', read: oneOf(idSpellings) },
  maxBinds: { name: 'max_binds', read: orNull(wholeNumber(0, 1_000)) },
}

const keys = Object.keys(spellings) as (keyof Settings)[]
const keyByName = new Map<string, keyof Settings>(keys.map((key) => [spellings[key].name, key]))

/** The settings with those that `body` names changed; throws SettingsError naming every fault, and changes nothing. */
export function changeSettings(settings: Settings, body: unknown): Settings {
  if (!isObject(body)) throw new SettingsError({ body: ['is not an object'] })
  const details: Record<string, string[]> = {}
  const changed = { ...settings }
  for (const [name, value] of Object.entries(body)) {
    const key = keyByName.get(name)
    const fault = key ? change(changed, key, value) : 'is not a setting'
    if (fault) details[name] = [fault]
  }
  if (Object.keys(details).length > 0) throw new SettingsError(details)
  return changed
}

export function presentSettings(settings: Settings): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [spellings[key].name, present(settings, key)]))
}

function change<K extends keyof Settings>(settings: Settings, key: K, value: unknown): string | undefined {
  try {
    settings[key] = spellings[key].read(value, settings[key])
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault
    return fault.message
  }
}

function present<K extends keyof Settings>(settings: Settings, key: K): unknown {
  const spelling = spellings[key]
  return spelling.present ? spelling.present(settings[key]) : settings[key]
}

function orNull<T>(read: (value: unknown) => T) {
  return (value: unknown): T | null => (value === null ? null : read(value))
}

function wholeNumber(least: number, most: number) {
  return (value: unknown): number => {
    if (Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most) return Number(value)
    throw new Fault(`is not a whole number from ${least} to ${most}`)
  }
}

function percent(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= 100) return value
  throw new Fault('is not a share in per cent')
}

function yesOrNo(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new Fault('is neither true nor false')
}

function oneOf<T extends string>(known: readonly T[]) {
  return (value: unknown): T => {
    const found = known.find((one) => one === value)
    if (found) return found
    throw new Fault(`is not one of ${known.join(', ')}`)
  }
}

/** Shares that are left out are 0. */
function readMix(value: unknown): Settings['receiptMix'] {
  const mix = { delivered: 0, hard: 0, soft: 0, none: 0 }
  for (const [outcome, share] of entriesOf(value, OUTCOMES)) {
    if (typeof share !== 'number' || !(share >= 0)) throw new Fault(`${outcome} is not a share in per cent`)
    mix[outcome] = share
  }
  const sum = mix.delivered + mix.hard + mix.soft + mix.none
  if (Math.abs(sum - 100) > 0.001) throw new Fault(`the shares add up to ${sum}, not 100`)
  return mix
}

/** Codes that are left out stay as they are. */
function readErrors(value: unknown, now: Settings['receiptError']): Settings['receiptError'] {
  const errors = { ...now }
  for (const [outcome, code] of entriesOf(value, ENDINGS)) {
    if (typeof code !== 'string' || !ERROR_CODE.test(code)) throw new Fault(`${outcome} is not an error code`)
    errors[outcome] = code
  }
  return errors
}

function entriesOf<N extends string>(value: unknown, names: readonly N[]): [N, unknown][] {
  if (!isObject(value)) throw new Fault(`is not an object of ${names.join(', ')}`)
  return Object.entries(value).map(([name, entry]) => {
    const known = names.find((one) => one === name)
    if (!known) throw new Fault(`${name} is not one of ${names.join(', ')}`)
    return [known, entry]
  })
}

function readThrottle(value: unknown): NonNullable<Settings['throttle']> {
  if (!isObject(value)) throw new Fault('is neither null nor { "mps": number }')
  return { mps: wholeNumber(1, 1_000_000)(value.mps) }
}

/** The status by its name, as a number, or as hex in a string; ESME_ROK is none. */
function readRefusal(value: unknown): NonNullable<Settings['refuse']> {
  if (!isObject(value)) throw new Fault('is neither null nor { "status": name or number, "percent": number }')
  const status = typeof value.status === 'string' ? readStatusName(value.status) : value.status
  if (typeof status !== 'number' || !Number.isInteger(status) || status <= 0 || status > 0xffff_ffff) {
    throw new Fault('status is not a command_status')
  }
  return { status, percent: percent(value.percent ?? 100) }
}

function readStatusName(name: string): number | undefined {
  if (Object.hasOwn(commandStatus, name)) return commandStatus[name as keyof typeof commandStatus]
  return /^0x[0-9a-f]{1,8}$/i.test(name) ? Number(name) : undefined
}

function readDropRule(value: unknown): DropRule {
  if (!isObject(value)) throw new Fault('is neither null nor { "submits": number, "times": number or null }')
  const submits = wholeNumber(1, 1_000_000_000)(value.submits)
  return { submits, times: orNull(wholeNumber(1, 1_000_000))(value.times ?? null) }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
