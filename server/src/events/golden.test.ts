import { expect, test } from 'vitest'
import { reservedKeys } from '../custom-fields/custom-fields.ts'
import type { ValueRules } from '../custom-fields/values.ts'
import { callbackTypes, listEventTypes, type RecordedEvent } from './event-types.ts'
import { renderPayload } from './payloads.schema.ts'
import { sampleEvent } from './sample-events.ts'

// The whole payload of each type as JSON text: parsed, the order of its keys would be lost. That the facts are those of the change
// is tested where they are written.

const at = new Date('2026-03-02T10:00:00Z')
const given = { accountId: 3, listId: 7, timeZone: 'America/Los_Angeles', at }

const field = (
  key: string,
  contentType: ValueRules['contentType'],
  defaultValue: string | null = null,
): ValueRules => ({
  ...{ key, contentType, defaultValue },
  ...{ maxLength: 40, pattern: null, isEnforced: false },
})
const fields = [field('shelf', 'number'), field('2026', 'text', 'none'), field('since', 'datetime')]
const values = { shelf: 12, since: '2031-05-06T16:00:00.000Z' }

const profile =
  '"opt_id":0,"phone_number":"2065550100","carrier_id":383,"carrier_name":"AT&T","first_name":"Marisol","last_name":"Vega",' +
  '"email_address":"marisol@cedar.example","gender":"Female","zip_code":"98101","birthdate":"04/12/1990","birthday":"04/12",' +
  '"tag_list":["volunteer"],"first_opt_in_timestamp":"2026-03-02T02:00:00-08:00","last_opt_in_method":"keyword","last_opt_in_keyword":"CEDAR"'
const time = '"2026-03-02T02:00:00-08:00"'
const custom = ',"2026":"none","shelf":12,"since":"2031-05-06T09:00:00.000-07:00"'

/** The payload of each type of a list, and whether custom fields follow. */
const golden = {
  subscribe: [
    `{"type":"subscribe","timestamp":${time},"account_id":3,"campaign_id":7,${profile},"total_messages_received":7`,
    custom,
  ],
  unsubscribe: [
    `{"type":"unsubscribe","timestamp":${time},"unsubscribe_date":${time},"account_id":3,"campaign_id":7,${profile},"total_messages_received":7`,
    custom,
  ],
  message_sent: [
    `{"type":"message_sent","timestamp":${time},"account_id":3,"campaign_id":7,"message_id":0,"message_name":"Opening hours",` +
      `"sent_timestamp":${time},"is_mms":false,"content":"Cedar Valley Pantry: open today from 9 to 12.","recipient_count":"100",` +
      `"success_count":97,"bounce_count":2,"clean_count":1,"unsubscribe_count":1,"send_cost":0.79`,
    '',
  ],
  cleaned: [
    `{"type":"cleaned","timestamp":${time},"account_id":3,"campaign_id":7,"subscriber_id":0,"phone_number":"2065550100",` +
      `"cleaned_at":${time},"clean_reason":"hard_bounce","last_message_id":0`,
    '',
  ],
  campaign_response: [
    `{"type":"campaign_response","timestamp":${time},"account_id":3,"campaign_id":7,"message_id":0,"sent_timestamp":${time},` +
      `"content":"Cedar Valley Pantry: open today from 9 to 12.","response_timestamp":${time},"reply_content":"Thank you!",` +
      `${profile},"is_mms":false,"attachment_urls":[]`,
    custom,
  ],
}

test.each(listEventTypes)('%s, with and without custom fields', (type) => {
  const event = sampleEvent(type, given)
  const { subscriber } = event.facts
  const facts = subscriber ? { ...event.facts, subscriber: { ...subscriber, custom_fields: values } } : event.facts
  const [fixed, ofFields] = golden[type]
  expect(renderPayload(event, [])).toBe(`${fixed}}`)
  expect(renderPayload({ ...event, facts }, fields)).toBe(`${fixed}${ofFields}}`)
})

test.each(listEventTypes.filter((type) => golden[type][1] !== ''))('no custom field can have a key of %s', (type) => {
  const keys = Object.keys(JSON.parse(`${golden[type][0]}}`))
  expect(keys.filter((key) => !reservedKeys.has(key))).toEqual([])
  expect(reservedKeys.has('is_test')).toBe(true)
})

test.each(callbackTypes)('%s', (type) => {
  const facts = {
    transactional_message_status: { messageId: 9, status: 'delivered' },
    transactional_message_reply: {
      messageId: 9,
      receivedAt: at.toISOString(),
      reply: 'Yes',
      carrier: 383,
      carrierName: 'AT&T',
    },
  }[type]
  const event: RecordedEvent = {
    ...{ id: 1, accountId: 3, listId: null, type, phone: 2_065_550_100, occurredAt: at, callbackUrl: null },
    ...{ timeZone: given.timeZone, facts },
  }
  const expected = {
    transactional_message_status: `{"type":"transactional_message_status","transactional_message_id":9,"timestamp":${time},"phone_number":"2065550100","status":"delivered"}`,
    transactional_message_reply: `{"type":"transactional_message_reply","transactional_message_id":9,"received_at":${time},"phone_number":"2065550100","carrier":383,"carrier_name":"AT&T","content":"Yes"}`,
  }[type]
  expect(renderPayload(event, [])).toBe(expected)
})

test('momt_report has the text of the report, and webhook_disabled the webhook', () => {
  const event: RecordedEvent = {
    ...{ id: 1, accountId: 3, listId: null, type: 'momt_report', phone: null, occurredAt: at, callbackUrl: null },
    ...{ timeZone: given.timeZone, facts: { report: '{"id":9,"s3_url":null}' } },
  }
  expect(renderPayload(event, [])).toBe('{"status":"OK","momt_report":{"id":9,"s3_url":null}}')
  const facts = { webhookId: 11, reason: 'failing', failingSince: at.toISOString() }
  const start = `{"type":"webhook_disabled","timestamp":${time},"account_id":3,"campaign_id":7,"webhook_id":11,`
  const disabled: RecordedEvent = { ...event, type: 'webhook_disabled', listId: 7, facts }
  expect(renderPayload(disabled, fields)).toBe(`${start}"reason":"failing","failing_since":${time}}`)
  const gone: RecordedEvent = { ...disabled, facts: { ...facts, reason: 'gone', failingSince: null } }
  expect(renderPayload(gone, fields)).toBe(`${start}"reason":"gone","failing_since":null}`)
})
