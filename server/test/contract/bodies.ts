// A valid body for each operation. isolation.test.ts fails while a new operation is missing.

export const field = { label: 'Size', key: 'size', content_type: 'text', max_length: 9 }
export const donation = { amount: '25', donation_platform: 'GiveRiver', donation_platform_uid: 'gr-1' }
const tagged = { phone_numbers: ['2065550143'], tags: ['vip'] }

type Bodies = Record<string, object | string | null>

const written: Bodies = {
  'GET /accounts/me': null,
  'GET /api_keys': null,
  'POST /api_keys': { api_key: { name: 'Mailer', scope: 'send', rate_limit: '1/60' } },
  'GET /shortcodes': null,
  'GET /rates': null,
  'POST /rates': { rate: { price: '0.0079', carrier: 383, since: '2031-06-01', source: 'contract of May' } },
  'DELETE /rates/{rate_id}': null,
  'GET /connections': null,
  'POST /connections': {
    connection: {
      name: 'Cedar SMS',
      host: '127.0.0.1',
      port: 1,
      system_id: 'cedar',
      password: 'swordfish',
      slots: 2,
      window: 50,
      mps: 100,
      carrier_mps: { 383: 75 },
      error_map: { receipt: { 4470: 'blocked' }, status: { '0x45': 'soft' } },
      enabled: false,
    },
  },
  'GET /connections/{connection_id}': null,
  'GET /connections/{connection_id}/orphan_receipts': null,
  'GET /connections/{connection_id}/unmatched_mos': null,
  'POST /connections/{connection_id}/unmatched_mos/{unmatched_mo_id}/apply': { phone_number: '2065550100' },
  'PUT /connections/{connection_id}': { connection: { window: 100, mps: null } },
  'DELETE /connections/{connection_id}': null,
  'POST /connections/{connection_id}/test': null,
  'GET /lists': null,
  'POST /lists': {
    list: {
      name: 'Cedar Valley',
      message_stop: 'You will get no more texts.',
      keyword_names: ['PIZZA'],
      resend_block_hours: 4,
    },
  },
  'POST /momt_reports': { date_from: '2026-02-01T00:00:00Z', date_to: '2026-02-28T00:00:00Z' },
  'GET /transactional_messages/{transactional_message_id}/recipients/{phone_number}': null,
  'POST /transactional_messages': {
    transactional_message: { number: '2065550143', content: 'Cedar Valley Pantry: your box is ready.' },
  },
  'PUT /api_keys/{api_key_id}': { api_key: { name: 'Mailer of the office' } },
  'DELETE /api_keys/{api_key_id}': null,
  'POST /api_keys/{api_key_id}/disable': null,
  'POST /api_keys/{api_key_id}/enable': null,
  'GET /momt_reports': null,
  'GET /momt_reports/{momt_report_id}': null,
  'POST /momt_reports/{momt_report_id}/cancel': null,
  'POST /shortcodes/{shortcode}/test_keyword': { keyword_name: 'PIZZA' },
  'GET /shortcodes/{shortcode}/routes': null,
  'PUT /shortcodes/{shortcode}/routes': { shortcode: { mps: 100 } },
  'GET /lists/{list_id}': null,
  'GET /lists/{list_id}/sizes': null,
  'PUT /lists/{list_id}': { list: { name: 'Cedar Valley Winter' } },
  'DELETE /lists/{list_id}': null,
  'PUT /lists/{list_id}/keywords': { keyword_names: ['PIZZA'] },
  'PUT /lists/{list_id}/opt_in_settings': {
    opt_in_type: 'single',
    first_optin_message: 'Cedar Valley Pantry: you are in! STOP to quit.',
  },
  'GET /lists/{list_id}/custom_fields': null,
  'POST /lists/{list_id}/custom_fields': { custom_field: { ...field, key: 'other', label: 'Other' } },
  'POST /lists/{list_id}/custom_field': { custom_field: { ...field, key: 'other', label: 'Other' } },
  'DELETE /lists/{list_id}/custom_fields': { key: field.key },
  'GET /lists/{list_id}/subscribers': null,
  'GET /lists/{list_id}/subscribers/unsubscribed': null,
  'GET /lists/{list_id}/subscribers/cleaned': null,
  'POST /lists/{list_id}/subscribers': { subscriber: { phone_number: '2065550144' } },
  'POST /lists/{list_id}/subscribers/add_tags': tagged,
  'POST /lists/{list_id}/bulk_taggings': { bulk_tagging: tagged },
  'DELETE /lists/{list_id}/tags': { tags: ['local'] },
  'GET /lists/{list_id}/subscribers/{phone_number}': null,
  'PUT /lists/{list_id}/subscribers/{phone_number}': { subscriber: { first_name: 'Marisol', tags: ['vip', 'local'] } },
  'PUT /lists/{list_id}/subscribers/{phone_number}/async': {
    subscriber: { first_name: 'Marisol', tags: ['vip', 'local'] },
  },
  'DELETE /lists/{list_id}/subscribers/{phone_number}': null,
  'DELETE /lists/{list_id}/subscribers/{phone_number}/tags': { tags: ['local'] },
  'GET /lists/{list_id}/imports': null,
  'POST /lists/{list_id}/imports': 'phone_number\n2065550144\n',
  'GET /lists/{list_id}/imports/{import_id}': null,
  'GET /lists/{list_id}/messages': null,
  'GET /lists/{list_id}/messages/draft': null,
  'GET /lists/{list_id}/messages/scheduled': null,
  'POST /lists/{list_id}/flight_plans': {
    message: { content: 'Hi {first_name|neighbor}, we open at nine on Friday.' },
  },
  'POST /lists/{list_id}/messages/{message_id}/flight_plan': null,
  'GET /lists/{list_id}/flight_plans/{flight_plan_id}': null,
  'POST /lists/{list_id}/messages': { message: { content: 'Cedar Valley Pantry: open today from 9 to 12.' } },
  'GET /lists/{list_id}/messages/{message_id}': null,
  'GET /lists/{list_id}/messages/{message_id}/recipients': null,
  'GET /lists/{list_id}/messages/{message_id}/recipients/{phone_number}': null,
  'GET /lists/{list_id}/messages/{message_id}/clicks': null,
  'PUT /lists/{list_id}/messages/{message_id}': {
    message: { content: 'Cedar Valley Pantry: open today from 9 to 12.' },
  },
  'DELETE /lists/{list_id}/messages/{message_id}': null,
  'POST /lists/{list_id}/messages/{message_id}/send': null,
  'POST /lists/{list_id}/messages/{message_id}/cancel': null,
  'GET /quiet_hours': null,
  'PUT /quiet_hours': {
    quiet_hours: {
      broadcasts: true,
      hours: [
        { state: 'FL', weekdays: [1, 2, 3, 4, 5], from: '09:00', to: '19:00', source: 'Our lawyer, 3 March 2031' },
      ],
    },
  },
  'POST /lists/{list_id}/messages/{message_id}/pause': null,
  'POST /lists/{list_id}/messages/{message_id}/resume': null,
  'POST /lists/{list_id}/messages/{message_id}/test': { phone_numbers: ['2065550143'] },
  'POST /lists/{list_id}/messages/{message_id}/copy': null,
  'GET /lists/{list_id}/webhooks': null,
  'POST /lists/{list_id}/webhooks': { webhook: { callback_url: 'https://hooks.cedar.example/' } },
  'GET /lists/{list_id}/webhooks/{webhook_id}': null,
  'PUT /lists/{list_id}/webhooks/{webhook_id}': { webhook: { cleaned: true } },
  'POST /lists/{list_id}/webhooks/{webhook_id}': { webhook: { cleaned: true } },
  'DELETE /lists/{list_id}/webhooks/{webhook_id}': null,
  'GET /lists/{list_id}/webhooks/{webhook_id}/secret': null,
  'PUT /lists/{list_id}/webhooks/{webhook_id}/secret': { webhook_secret: { previous_valid_hours: 48 } },
  'GET /callback_secret': null,
  'PUT /callback_secret': { callback_secret: { previous_valid_hours: 48 } },
  'POST /lists/{list_id}/webhooks/{webhook_id}/replays': { replay: { from_position: 1 } },
  'GET /lists/{list_id}/webhooks/{webhook_id}/replays/{replay_id}': null,
  'POST /lists/{list_id}/webhooks/{webhook_id}/test_events': { test_event: { type: 'subscribe' } },
  'GET /lists/{list_id}/webhooks/{webhook_id}/preview': null,
  'POST /callback_test_events': {
    callback_test_event: {
      type: 'transactional_message_status',
      webhook_callback_url: 'https://shop.example/sms?order=7',
    },
  },
  'GET /lists/{list_id}/webhooks/{webhook_id}/health': null,
  'GET /lists/{list_id}/webhooks/{webhook_id}/deliveries': null,
  'GET /webhook_attempts': null,
  'GET /webhook_attempts/{attempt_id}': null,
  'POST /webhook_attempts/{attempt_id}/replay': null,
  'GET /events': null,
  'GET /event_feed': null,
  'PUT /event_feed': { event_feed: { enabled: true } },
  'GET /lists/{list_id}/donations': null,
  'GET /lists/{list_id}/subscribers/{phone_number}/donations': null,
  'POST /lists/{list_id}/subscribers/{phone_number}/donations': donation,
  'POST /lists/{list_id}/messages/{message_id}/donations': donation,
  'GET /lists/{list_id}/messages/{message_id}/donations': null,
}

/** A valid body for each operation below /api/v2; null means none, and a string is an uploaded file. */
export const bodies: Bodies = { ...written, ...patches(written) }

/** Returns the bodies of the PATCH operations, each of which exists beside a PUT. */
function patches(all: Bodies): Bodies {
  const puts = Object.entries(all).filter(([operation]) => operation.startsWith('PUT '))
  return Object.fromEntries(puts.map(([operation, body]) => [operation.replace('PUT', 'PATCH'), body]))
}

/** Returns whether only operators may call the operation, with the ids of any account; other accounts get a 404. */
export function isForOperators(operation: string): boolean {
  return /^\w+ \/(connections\b|rates\b|shortcodes\/\{shortcode\}\/routes)/.test(operation)
}
