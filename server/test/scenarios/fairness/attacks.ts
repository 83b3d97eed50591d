import { formatPhoneNumber } from '../../../src/sms/phone-number.ts'
import { phonesFrom } from '../random-faults.ts'

// The requests of an account that does its worst: each makes its unit of work as large as the API accepts, or larger.

export type HostileRequest = {
  method: string
  path: string
  body?: string
  contentType?: string
  headers?: Record<string, string>
}

/** Returns the request of the n-th attempt. */
export type Attack = (n: number) => HostileRequest

export const people = 1_000
export const longValue = 'a'.repeat(9_998)
const importRows = 5_000
const largeBody = 900_000

const format = (phones: readonly number[]) => phones.map((phone) => formatPhoneNumber(phone))
export const hostilePhones = format(phonesFrom(2_126_000_000, people))
const phone = (n: number) => hostilePhones[n % people] as string
const stranger = (n: number) => formatPhoneNumber(2_156_000_000 + n)
const maxTags = Array.from({ length: 50 }, (_, n) => `${'t'.repeat(20)}${n}`)

/** Returns all attacks on a list of `hostilePhones`, with a message of it, by name. */
export function attacksOn(listId: number, messageId: number): Record<string, Attack> {
  const list = `/lists/${listId}`
  const messages = `${list}/messages`
  return {
    'long texts': () => json('POST', messages, { message: { content: '{a}'.repeat(40) } }),
    'many texts': (n) => json('POST', messages, { message: { content: `Buy now ${n}` } }),
    'texts to numbers': (n) => {
      return json('POST', messages, { message: { content: `Buy now, you ${n}`, phone_numbers: hostilePhones } })
    },
    'urgent texts': (n) => {
      const text = { number: stranger(n), content: `Buy within the hour ${n}` }
      return json('POST', '/transactional_messages', { transactional_message: text })
    },
    drafts: (n) => json('POST', messages, { message: { content: `${n}`.repeat(300), max_parts: 10, draft: true } }),
    schedules: (n) => {
      const send_at = new Date(Date.now() + 3_600_000).toISOString()
      return json('POST', messages, { message: { content: `Later ${n}`, send_at, local_time: true } })
    },
    'one idempotency key': () => {
      const request = json('POST', messages, { message: { content: 'Once', draft: true } })
      return { ...request, headers: { 'idempotency-key': 'the same one' } }
    },
    plans: () => json('POST', `${list}/flight_plans`, { message: { content: '{a}'.repeat(40) } }),
    tags: (n) => {
      const tags = maxTags.map((tag) => `${n % 7}${tag}`)
      return json('POST', `${list}/bulk_taggings`, {
        bulk_tagging: { phone_numbers: hostilePhones, tags, replace: true },
      })
    },
    'removed tags': () => json('DELETE', `${list}/tags`, { tags: maxTags }),
    profiles: (n) => json('PUT', `${list}/subscribers/${phone(n)}/async`, { subscriber: { a: longValue } }),
    'long values': (n) => {
      return json('PUT', `${list}/subscribers/${phone(n)}`, { subscriber: { a: longValue, tags: [`of ${n}`] } })
    },
    'look-ups': (n) => json('POST', `${list}/subscribers`, { subscriber: { phone_number: stranger(n), a: longValue } }),
    'opt-outs': (n) => ({ method: 'DELETE', path: `${list}/subscribers/${phone(n)}` }),
    patterns: (n) => {
      const field = { label: `F${n}`, key: `f${n}`, content_type: 'text', max_length: 9_999 }
      const pattern = { pattern: '((a{1,9}){1,9}){1,9}$', should_validate_regex_via_api: true }
      return json('POST', `${list}/custom_fields`, { custom_field: { ...field, ...pattern, default_value: longValue } })
    },
    imports: (n) => csv(list, importOf(n)),
    'wide imports': (n) => csv(list, `phone_number,${Array.from({ length: 5_000 }, (_, c) => `c${n}${c}`).join()}\n`),
    'skipped rows': () => csv(list, skippedRows),
    'pages of imports': () => get(`${list}/imports?per_page=100`),
    'deep bodies': () => ({ method: 'POST', path: messages, body: deepBody, contentType: 'application/json' }),
    'long forms': () => ({ method: 'POST', path: messages, body: longForm, contentType: form }),
    'deep pages': (n) => get(`${list}/subscribers?page=${1_000_000 - n}&per_page=100`),
    'deep pages of messages': (n) => get(`${messages}?page=${1_000_000 - n}&per_page=100&start_date=20000101`),
    'pages of messages': () => get(`${messages}?per_page=100`),
    explanations: (n) => get(`${messages}/${messageId}/recipients/${phone(n)}`),
    keys: (n) => json('POST', '/api_keys', { api_key: { name: `Key ${n}`, scope: 'full' } }),
    lists: (n) => json('POST', '/lists', { list: { name: `List ${n}`, keyword_names: [`HOSTILE${n}`] } }),
    keywords: (n) => {
      const names = Array.from({ length: 100 }, (_, k) => `WORD${n % 3}${k}`)
      return json('PUT', `${list}/keywords`, { keyword_names: names })
    },
    'settings of a list': (n) => json('PUT', list, { list: { name: `Everybody ${n}` } }),
    webhooks: (n) => json('POST', `${list}/webhooks`, { webhook: { callback_url: `https://hooks.example.org/${n}` } }),
    reports: () => {
      return json('POST', '/momt_reports', { date_from: '2000-01-01T00:00:00Z', date_to: '2099-12-31T00:00:00Z' })
    },
    donations: (n) => {
      const donation = { amount: '1', donation_platform: 'GiveRiver', donation_platform_uid: `gr-${n}` }
      return json('POST', `${list}/subscribers/${phone(n)}/donations`, donation)
    },
    'quiet hours': (n) => json('PUT', '/quiet_hours', { quiet_hours: { broadcasts: n % 2 === 0 } }),
  }
}

/** Returns a CSV file of the people in `hostilePhones` with long values. */
export function fileOfLongValues(): string {
  return `phone_number,a\n${hostilePhones.map((number) => `${number},${longValue}`).join('\n')}\n`
}

export function json(method: string, path: string, body: object): HostileRequest {
  return { method, path, body: JSON.stringify(body), contentType: 'application/json' }
}

export function csv(list: string, body: string): HostileRequest {
  return { method: 'POST', path: `${list}/imports`, body, contentType: 'text/csv' }
}

const get = (path: string): HostileRequest => ({ method: 'GET', path })

const form = 'application/x-www-form-urlencoded'
const deepBody = '['.repeat(largeBody)
const longForm = 'a[b]'.repeat(largeBody / 4)
const importTail = `,Ada,${'c'.repeat(100)}`

function importOf(n: number): string {
  const numbers = format(phonesFrom(2_136_000_000 + (n % 50) * importRows, importRows))
  return `phone_number,first_name,a\n${numbers.map((number) => number + importTail).join('\n')}\n`
}

const skippedRows = `phone_number\n${Array.from({ length: 20_000 }, (_, n) => `no number ${n}`).join('\n')}\n`
