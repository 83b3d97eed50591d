// Asks an operator's own service about a number. docs/look-up.md has the request and the answer.

import type { GuardedFetch } from '../lib/guarded-fetch.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import { carrierId, carrierName } from './carriers.ts'

/** The result of a number's look-up; null is a value that the service did not return. */
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
const maxText = 191
const kinds = new Set<LookUpResult['kind']>(['mobile', 'landline', 'voip', 'toll_free', 'unreachable', 'unknown'])

/** Asks the service at `url`; throws when it does not answer in time, or with something else than a line. */
export async function queryProvider(options: ProviderOptions, phone: number): Promise<LookUpResult> {
  const answer = await options.fetch({
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
  if (answer.status !== 200) throw new Error(`the look-up answered ${answer.status}`)
  return parseLookUpResult(answer.body.toString())
}

/** The line in a body; throws for one that is no object of JSON. What it does not say, or says oddly, is not known. */
export function parseLookUpResult(text: string): LookUpResult {
  const body = parseObject(text)
  const carrier = idOf(body.carrier)
  const name = textOf(body.carrier_name)
  const kind = kinds.values().find((known) => known === body.line_type)
  return {
    kind: kind ?? 'unknown',
    carrier: carrier ?? (name === null ? null : (carrierId(name) ?? null)),
    carrierName: name ?? (carrier === null ? null : (carrierName(carrier) ?? null)),
    ported: typeof body.ported === 'boolean' ? body.ported : null,
    globalCarrierId: textOf(body.global_carrier_id),
    globalCarrierName: textOf(body.global_carrier_name),
  }
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // said below
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Error('the look-up answered with no object of JSON')
}

function idOf(given: unknown): number | null {
  const id = typeof given === 'string' && /^\d{1,10}$/.test(given) ? Number(given) : given
  return typeof id === 'number' && Number.isInteger(id) && id > 0 && id < 2 ** 31 ? id : null
}

function textOf(given: unknown): string | null {
  if (typeof given !== 'string' && typeof given !== 'number') return null
  const text = String(given).replaceAll('\0', '').trim()
  return text === '' || text.length > maxText ? null : text
}
