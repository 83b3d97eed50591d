// What the control API can turn while the simulator runs, and the only place that knows how a setting is spelt in JSON.

import { type IdForm, idForms } from './smsc-id.ts'

export type Settings = {
  latencyMs: number
  receiptDelayMs: number
  /** Per cent; for numbers that choose no fate. */
  receiptMix: { delivered: number; hard: number; soft: number; none: number }
  /** The most submit_sm in any second; the rest is answered with ESME_RTHROTTLED. */
  throttle: { mps: number } | null
  echoReference: boolean
  receiptTlvs: boolean
  /** While false nothing is read and nothing is sent, on binds old and new. */
  answer: boolean
  idForm: IdForm
  receiptIdForm: IdForm
  /** The most binds at once; one more is refused as already bound. */
  maxBinds: number | null
}

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
    receiptDelayMs,
    receiptMix: { delivered: 100, hard: 0, soft: 0, none: 0 },
    throttle: null,
    echoReference: true,
    receiptTlvs: true,
    answer: true,
    idForm: 'hex',
    receiptIdForm: 'hex',
    maxBinds: null,
  }
}

/** The settings with those that `body` names changed; throws SettingsError naming every fault, and changes nothing. */
export function changeSettings(settings: Settings, body: unknown): Settings {
  if (!isObject(body)) throw new SettingsError({ body: ['is not an object'] })
  const details: Record<string, string[]> = {}
  const changed = { ...settings }
  for (const [name, value] of Object.entries(body)) {
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined
    const fault = read ? read(changed, value) : 'is not a setting'
    if (fault) details[name] = [fault]
  }
  if (Object.keys(details).length > 0) throw new SettingsError(details)
  return changed
}

export function presentSettings(settings: Settings) {
  return {
    latency_ms: settings.latencyMs,
    receipt_delay_ms: settings.receiptDelayMs,
    receipt_mix: settings.receiptMix,
    throttle: settings.throttle,
    echo_reference: settings.echoReference,
    receipt_tlvs: settings.receiptTlvs,
    answer: settings.answer,
    id_form: settings.idForm,
    receipt_id_form: settings.receiptIdForm,
    max_binds: settings.maxBinds,
  }
}

type Reader = (settings: Settings, value: unknown) => string | undefined

const HOUR_MS = 3_600_000
const MIX = ['delivered', 'hard', 'soft', 'none'] as const

const readers: Record<string, Reader> = {
  latency_ms: (settings, value) => wholeNumber(value, 0, HOUR_MS, (ms) => (settings.latencyMs = ms)),
  receipt_delay_ms: (settings, value) => wholeNumber(value, 0, HOUR_MS, (ms) => (settings.receiptDelayMs = ms)),
  receipt_mix: readMix,
  throttle: readThrottle,
  echo_reference: (settings, value) => yesOrNo(value, (yes) => (settings.echoReference = yes)),
  receipt_tlvs: (settings, value) => yesOrNo(value, (yes) => (settings.receiptTlvs = yes)),
  answer: (settings, value) => yesOrNo(value, (yes) => (settings.answer = yes)),
  id_form: (settings, value) => oneOfForms(value, (form) => (settings.idForm = form)),
  receipt_id_form: (settings, value) => oneOfForms(value, (form) => (settings.receiptIdForm = form)),
  max_binds(settings, value) {
    if (value === null) settings.maxBinds = null
    else return wholeNumber(value, 0, 1_000, (most) => (settings.maxBinds = most))
  },
}

/** Shares that are left out are 0. */
function readMix(settings: Settings, value: unknown): string | undefined {
  if (!isObject(value)) return `is not an object of ${MIX.join(', ')}`
  const mix = { delivered: 0, hard: 0, soft: 0, none: 0 }
  for (const [name, share] of Object.entries(value)) {
    const outcome = MIX.find((known) => known === name)
    if (!outcome) return `${name} is not one of ${MIX.join(', ')}`
    if (typeof share !== 'number' || !(share >= 0)) return `${name} is not a share in per cent`
    mix[outcome] = share
  }
  const sum = mix.delivered + mix.hard + mix.soft + mix.none
  if (Math.abs(sum - 100) > 0.001) return `the shares add up to ${sum}, not 100`
  settings.receiptMix = mix
}

function readThrottle(settings: Settings, value: unknown): string | undefined {
  if (value === null) settings.throttle = null
  else if (!isObject(value)) return 'is neither null nor { "mps": number }'
  else return wholeNumber(value.mps, 1, 1_000_000, (mps) => (settings.throttle = { mps }))
}

function wholeNumber(value: unknown, least: number, most: number, set: (value: number) => void): string | undefined {
  if (!Number.isSafeInteger(value) || Number(value) < least || Number(value) > most) {
    return `is not a whole number from ${least} to ${most}`
  }
  set(Number(value))
}

function yesOrNo(value: unknown, set: (value: boolean) => void): string | undefined {
  if (typeof value !== 'boolean') return 'is neither true nor false'
  set(value)
}

function oneOfForms(value: unknown, set: (form: IdForm) => void): string | undefined {
  const form = idForms.find((known) => known === value)
  if (!form) return `is not one of ${idForms.join(', ')}`
  set(form)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
