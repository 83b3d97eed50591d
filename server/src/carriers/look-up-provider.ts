// Queries an operator's number service. docs/look-up.md describes the request and the response.

import type { GuardedFetch } from '../lib/guarded-fetch.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import { carrierId, carrierName } from './carriers.ts'

/** The result of a number's look-up; null is a value that the service does not return. */
export type LookUpResult = {
  kind: 'mobile' | 'landline' | 'voip' | 'toll_free' | 'unreachable' | 'unknown'
  carrier: number | null
  carrierName: string | null
  /** Whether the number was ported to this carrier from another. */
  ported: boolean | null
  globalCarrierId: string | null
  globalCarrierName: string | null
}

export type ProviderOptions = { fetch: GuardedFetch; url: string; token: string | undefined; timeoutMs: number }

const maxBytes = 16_384
const maxLength = 191
const kinds = new Set<LookUpResult['kind']>(['mobile', 'landline', 'voip', 'toll_free', 'unreachable', 'unknown'])

/** Returns the result of the service at `url`; throws if it does not respond in time, or does not respond with a result. */
export async function queryProvider(options: ProviderOptions, phone: number): Promise<LookUpResult> {
  const response = await options.fetch({
    url: options.url,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
    },
    body: JSON.stringify({ phone_number: formatPhoneNumber(phone) }),
    timeoutMs: options.timeoutMs,
    maxBytes,
  })
  if (response.status !== 200) throw new Error(`the look-up service responded with status ${response.status}`)
  return parseLookUpResult(response.body.toString())
}

/** Parses the body of a response; throws if it is not a JSON object. Missing and invalid values become null or unknown. */
export function parseLookUpResult(json: string): LookUpResult {
  const body = parseObject(json)
  const carrier = readId(body.carrier)
  const name = readName(body.carrier_name)
  const kind = kinds.values().find((known) => known === body.line_type)
  return {
    kind: kind ?? 'unknown',
    carrier: carrier ?? (name === null ? null : (carrierId(name) ?? null)),
    carrierName: name ?? (carrier === null ? null : (carrierName(carrier) ?? null)),
    ported: typeof body.ported === 'boolean' ? body.ported : null,
    globalCarrierId: readName(body.global_carrier_id),
    globalCarrierName: readName(body.global_carrier_name),
  }
}

function parseObject(json: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    // reported as the error below
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Error('the look-up service did not respond with a JSON object')
}

function readId(input: unknown): number | null {
  const id = typeof input === 'string' && /^\d{1,10}$/.test(input) ? Number(input) : input
  return typeof id === 'number' && Number.isInteger(id) && id > 0 && id < 2 ** 31 ? id : null
}

function readName(input: unknown): string | null {
  if (typeof input !== 'string' && typeof input !== 'number') return null
  const value = String(input).replaceAll('\0', '').trim()
  return value === '' || value.length > maxLength ? null : value
}
