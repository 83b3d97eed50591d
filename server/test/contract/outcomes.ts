import { expect } from 'vitest'
import type { Person } from '../api.ts'

// The documented outcomes of each operation, and how each is provoked.

/** The fixtures for an outcome: an owner's list with one of each noun. */
export type World = {
  owner: Person
  ids: Record<'list_id' | 'phone_number' | 'message_id' | 'webhook_id' | 'momt_report_id' | 'shortcode', string>
}

export type Outcome = {
  /** The sentence: `status` of a success, `error` of an error. */
  sentence: string | RegExp
  /** Runs before the call. */
  first?: (world: World) => Promise<unknown>
  body?: object
  ids?: Partial<World['ids']>
  query?: string
  /** Further properties of the response. */
  response?: object
  /** The reason why the outcome is not supported yet. */
  waits?: string
}

/** The body of a call that would succeed, and the outcomes that are this operation's own. */
export type Entry = { body?: object; outcomes: Record<string, Outcome> }

const ok = { sentence: 'OK' }
const unknownPhone = '2065559999'
const noSubscriber = { sentence: 'Subscriber not found', ids: { phone_number: unknownPhone } }
const noMessage = { sentence: 'Message not found', ids: { message_id: '999999999' } }
const noWebhook = { sentence: 'Webhook not found', ids: { webhook_id: '999999999' } }
const noList = { sentence: 'List not found', ids: { list_id: '999999999' } }

const field = { label: 'Size', key: 'size', content_type: 'number', max_length: 3 }
const donation = { amount: '25.00', donation_platform: 'GiveRiver', donation_platform_uid: 'gr-1' }
const dated = { start_date: '20200101', end_date: '20991231' }

const add = (phone: string, flags: object = {}) => ({ subscriber: { phone_number: phone, ...flags } })
const silent = { bypass_opt_in_process: true, bypass_opt_in_response: true }
const newcomer = '2065550144'
const ofList = (world: World, path: string) => `/lists/${world.ids.list_id}${path}`

const customFieldOutcomes: Record<string, Outcome> = {
  '201': {
    sentence: 'OK',
    response: { custom_field: { key: 'size', can_insert: true, can_segment: true, mask: null } },
  },
  '404': noList,
}

const double = {
  opt_in_type: 'double',
  opt_in_requests: [
    {
      collected_data: 'zip_code',
      request_message: 'Your ZIP?',
      retry_message: 'Again?',
      follow_up: true,
      follow_up_hour: 6,
      no_response_message: 'Still there?',
      success_action: 'nextrequest',
    },
    {
      collected_data: 'yes',
      request_message: 'Reply YES.',
      retry_message: 'YES?',
      follow_up: false,
      opt_in_message: 'You are in.',
      second_opt_in_message: 'Back again.',
      success_action: 'optinsubscriber',
    },
  ],
}

export const outcomes: Record<string, Entry> = {
  getCurrentAccount: { outcomes: { '200': ok } },
  listLists: { outcomes: { '200': { ...ok, response: { count: 1, page: 1, per_page: 10, pages_count: 1 } } } },
  createList: {
    body: { list: { name: 'Cedar Valley', keyword_names: ['cedar'] } },
    outcomes: {
      '200': {
        sentence: 'List created',
        response: {
          list: {
            keyword_names: ['CEDAR'],
            first_optin_message: '',
            message_yes: null,
            opt_in_type: 'single',
            opt_in_requests: [],
          },
        },
      },
      '422': {
        sentence: 'invalid keyword names: PANTRY',
        first: (world) => world.owner.put(ofList(world, '/keywords'), { keyword_names: ['PANTRY'] }),
        body: { list: { name: 'Other', keyword_names: ['pantry'] } },
      },
    },
  },
  getList: { outcomes: { '200': ok, '404': noList } },
  updateList: {
    body: { list: { name: 'Cedar Valley Winter' } },
    outcomes: {
      '200': { ...ok, response: { list: { name: 'Cedar Valley Winter' } } },
      '404': noList,
      '422': { sentence: "Validation failed: Name can't be blank", body: { list: { name: '' } } },
    },
  },
  deleteList: { outcomes: { '200': { sentence: 'List Destroyed' }, '404': noList } },
  configureOptIn: {
    body: { opt_in_type: 'single' },
    outcomes: {
      '200 double': { sentence: 'Opt in settings updated', body: double, response: { opt_in_type: 'double' } },
      '200 single': {
        sentence: 'Opt in settings updated',
        body: { opt_in_type: 'single', first_optin_message: 'You are in.', second_optin_message: 'Back again.' },
        response: { first_optin_message: 'You are in.', second_optin_message: 'Back again.' },
      },
      '404': noList,
      '422': { sentence: /^Validation failed: Opt in type /, body: { opt_in_type: 'triple' } },
    },
  },
  setKeywords: {
    body: { keyword_names: ['pantry', 'cedar'] },
    outcomes: {
      '200': { sentence: 'Keywords changed', response: { keyword_names: ['PANTRY', 'CEDAR'] } },
      '404': noList,
      '422': {
        sentence: 'invalid keyword names: FRESH',
        first: (world) => world.owner.post('/lists', { list: { name: 'Other', keyword_names: ['FRESH'] } }),
        body: { keyword_names: ['fresh'] },
      },
    },
  },
  listSubscribedNumbers: { outcomes: { '200': { ...ok, response: { phone_numbers: ['2065550143'] } }, '404': noList } },
  addSubscriber: {
    body: add(newcomer),
    outcomes: {
      '200': {
        sentence: 'Subscriber is already subscribed to this campaign.',
        body: add('2065550143'),
        response: { subscriber: { optin_in_progress: false } },
      },
      '201 pending': {
        sentence: 'Subscriber being added to campaign pending confirmation',
        response: { subscriber: { optin_in_progress: true } },
      },
      '201 silent': {
        sentence: 'Subscriber has been added - no opt-in message was sent due to list settings.',
        body: add(newcomer, silent),
        response: { subscriber: { optin_in_progress: false } },
      },
      '201 welcomed': {
        sentence: 'Subscriber added',
        first: (world) => world.owner.put(ofList(world, ''), { list: { first_optin_message: 'Welcome!' } }),
        body: add(newcomer, { bypass_opt_in_process: true }),
        response: { subscriber: { optin_in_progress: false } },
      },
      '201 alreadyAsked': {
        sentence: 'Subscriber has already been sent opt-in message for this campaign.',
        first: (world) => world.owner.post(ofList(world, '/subscribers'), add(newcomer)),
        response: { subscriber: { optin_in_progress: true } },
      },
      '201 refused': {
        sentence: /security timeout.* wait 4[78] hours and \d+ minutes?/,
        first: (world) => world.owner.delete(ofList(world, '/subscribers/2065550143')),
        body: add('2065550143', silent),
        response: { subscriber: { optin_in_progress: false } },
      },
      '404': noList,
      '422': { sentence: 'Bad phone number: landline or unreachable carrier', body: add('2065550100') },
    },
  },
  listUnsubscribedNumbers: {
    outcomes: {
      '200': {
        ...ok,
        first: (world) => world.owner.delete(ofList(world, '/subscribers/2065550143')),
        response: { phone_numbers: ['2065550143'], count: 1 },
      },
      '404': noList,
    },
  },
  getSubscriber: {
    outcomes: { '200': { ...ok, response: { subscriber: { total_messages_received: 0 } } }, '404': noSubscriber },
  },
  updateSubscriber: {
    body: { subscriber: { phone_number: '2065550143', first_name: 'Marisol' } },
    outcomes: {
      '200': { sentence: 'Subscriber has been updated.', response: { subscriber: { first_name: 'Marisol' } } },
      '404': noSubscriber,
      '422': { sentence: /^Validation failed: Gender /, body: { subscriber: { gender: 'Unicorn' } } },
    },
  },
  unsubscribeSubscriber: {
    outcomes: {
      '200': { sentence: 'successfully unsubscribed', response: { subscriber: { opted_out_at: expect.any(String) } } },
      '404': noSubscriber,
    },
  },
  deleteSubscriberTags: {
    body: { tags: ['vip', 'gone'] },
    outcomes: {
      '200': {
        ...ok,
        first: (world) =>
          world.owner.put(ofList(world, '/subscribers/2065550143'), { subscriber: { tags: 'vip, local' } }),
        response: { deleted: ['vip'], not_found: ['gone'], message: 'Tag removal completed with partial success.' },
      },
      '404': noSubscriber,
      '422': { sentence: "Validation failed: Tags can't be blank", body: { tags: [] } },
    },
  },
  bulkTag: {
    body: { bulk_tagging: { phone_numbers: ['2065550143', unknownPhone, '12'], tags: ['vip'] } },
    outcomes: {
      '200': {
        sentence: 'Bulk tagging operation queued successfully.',
        response: {
          number_count: 3,
          tag_count: 1,
          subscribers_to_update: 1,
          replace_tags: false,
          not_subscribed: [unknownPhone],
          invalid_numbers: ['12'],
        },
      },
      '404': noList,
      '422': {
        sentence: /^Validation failed: /,
        body: { bulk_tagging: { phone_numbers: Array(1_001).fill('2065550143'), tags: ['vip'] } },
      },
    },
  },
  listCustomFields: {
    outcomes: {
      '200': {
        ...ok,
        first: (world) => world.owner.post(ofList(world, '/custom_fields'), { custom_field: field }),
        response: { custom_fields: [{ key: 'size' }] },
      },
      '404': noList,
    },
  },
  createCustomField: {
    body: { custom_field: field },
    outcomes: {
      ...customFieldOutcomes,
      '422 type': {
        sentence: 'Content type date not allowed. Allowed types are: text, datetime, number',
        body: { custom_field: { ...field, content_type: 'date' } },
      },
      '422 taken': {
        sentence: 'Validation failed: Merge tag has already been taken, Label has already been taken',
        first: (world) => world.owner.post(ofList(world, '/custom_fields'), { custom_field: field }),
      },
      '422 length': {
        sentence: /Max\. characters must be greater than 0/,
        body: { custom_field: { label: 'Size', key: 'size', content_type: 'text' } },
      },
    },
  },
  deleteCustomField: {
    body: { key: 'size' },
    outcomes: {
      '200': {
        sentence: 'Custom field successfully deleted',
        first: (world) => world.owner.post(ofList(world, '/custom_fields'), { custom_field: field }),
      },
      '404': { sentence: 'Custom field not found', body: { key: 'nothing' } },
    },
  },
  deleteTags: {
    body: { tags: ['vip'] },
    outcomes: {
      '200': { sentence: 'Tags enqueued for deletion' },
      '404': noList,
      '422': { sentence: "Validation failed: Tags can't be blank", body: { tags: [] } },
    },
  },
  listSentMessages: {
    outcomes: {
      '200': {
        ...ok,
        query: `?${new URLSearchParams(dated)}`,
        response: { messages: [{ is_broadcast: true }], count: 1 },
      },
      '404': noList,
    },
  },
  sendMessage: {
    body: { message: { content: 'Pantry opens at 9.' } },
    outcomes: {
      '200': { ...ok, response: { message: { id: expect.any(Number) } } },
      '404': noList,
      '422': {
        sentence: 'Validation failed: Content is too long (maximum is 160 characters)',
        body: { message: { content: 'x'.repeat(161) } },
      },
    },
  },
  listDraftMessages: {
    outcomes: {
      '200': {
        ...ok,
        first: (world) => world.owner.post(ofList(world, '/messages'), { message: { content: 'Later', draft: true } }),
        response: { count: 1, messages: [{ status: 'draft', is_broadcast: false, sent_at: null }] },
      },
      '404': noList,
    },
  },
  listScheduledMessages: {
    outcomes: {
      '200': {
        ...ok,
        first: (world) =>
          world.owner.post(ofList(world, '/messages'), {
            message: { content: 'Later', send_at: '2098-01-02T03:04:05Z' },
          }),
        response: {
          count: 1,
          messages: [{ status: 'scheduled', is_broadcast: false, sent_at: '2098-01-01T19:04:05-08:00' }],
        },
      },
      '404': noList,
    },
  },
  getMessage: { outcomes: { '200': { ...ok, response: { message: { status: 'sending' } } }, '404': noMessage } },
  createMomtReport: {
    body: {
      date_from: '2026-02-01T00:00:00-05:00',
      date_to: '2026-02-28T00:00:00-05:00',
      webhook_callback_url: 'https://hooks.cedar.example/',
    },
    outcomes: {
      '200': {
        ...ok,
        response: {
          momt_report: {
            date_range: 'json',
            date_from: '2026-02-01T00:00:00-05:00',
            counts_calculated: false,
            webhook_callback_url: 'https://hooks.cedar.example/',
          },
        },
      },
      '422': { sentence: "Validation failed: Date to can't be blank", body: { date_from: '2026-02-01T00:00:00Z' } },
    },
  },
  getMomtReport: {
    outcomes: {
      '200 unprocessed': { ...ok, response: { momt_report: { counts_calculated: false } } },
      '200 processed': { ...ok, waits: 'a report stays ordered' },
      '404': { sentence: 'Momt report not found', ids: { momt_report_id: '999999999' } },
    },
  },
  listShortcodes: { outcomes: { '200': ok } },
  testKeyword: {
    body: { keyword_name: 'PANTRY' },
    outcomes: {
      '200 free': { ...ok, response: { keyword_name: 'available' } },
      '200 taken': {
        ...ok,
        first: (world) => world.owner.put(ofList(world, '/keywords'), { keyword_names: ['PANTRY'] }),
        response: { keyword_name: 'unavailable', error: 'Name is in use' },
      },
      '404': { sentence: 'Shortcode not found', ids: { shortcode: '10' } },
    },
  },
  sendTransactionalMessage: {
    body: { transactional_message: { number: '2065550143', content: 'Your table is ready.' } },
    outcomes: {
      '200': {
        sentence: 'Message successfully sent.',
        response: {
          transactional_message: { number: '2065550143', content: 'Your table is ready.', status: 'pending' },
        },
      },
      '422': {
        sentence: 'Validation failed: Content is too long (maximum is 160 characters)',
        body: { transactional_message: { number: '2065550143', content: 'x'.repeat(161) } },
      },
    },
  },
  listWebhooks: { outcomes: { '200': { ...ok, response: { count: 1 } }, '404': noList } },
  createWebhook: {
    body: { webhook: { callback_url: 'http://localhost:3000/', subscribe: true } },
    outcomes: {
      '201': {
        sentence: 'Webhook created',
        response: {
          webhook: {
            callback_url: 'http://localhost:3000/',
            enabled: true,
            subscribe: true,
            unsubscribe: false,
            message_sent: false,
            cleaned: false,
            reply_received: false,
          },
        },
      },
      '404': noList,
      '422': {
        sentence: /^Validation failed: Callback url /,
        body: { webhook: { callback_url: 'ftp://cedar.example' } },
      },
    },
  },
  getWebhook: { outcomes: { '200': ok, '404': noWebhook } },
  updateWebhook: {
    body: { webhook: { cleaned: true } },
    outcomes: {
      '200': { sentence: 'Webhook updated', response: { webhook: { cleaned: true } } },
      '404': noWebhook,
      '422': { sentence: /^Validation failed: Callback url /, body: { webhook: { callback_url: 'nowhere' } } },
    },
  },
  deleteWebhook: { outcomes: { '200': { sentence: 'Webhook destroyed' }, '404': noWebhook } },
  updateSubscriberAsync: {
    body: { subscriber: { first_name: 'Marisol' } },
    outcomes: { '200': { sentence: 'Subscriber update is being processed.' }, '404': noSubscriber },
  },
  listCleanedNumbers: { outcomes: { '200': ok, '404': noList } },
  addTagsLegacy: {
    body: { phone_numbers: ['2065550143'], tags: ['vip'] },
    outcomes: { '200': { sentence: 'Tags were applied' }, '404': noList },
  },
  createCustomFieldAlias: {
    body: { custom_field: field },
    outcomes: {
      ...customFieldOutcomes,
      '422': { sentence: /^Validation failed: /, body: { custom_field: { ...field, max_length: 0 } } },
    },
  },
  listDonations: {
    outcomes: {
      '200': {
        ...ok,
        first: (world) => world.owner.post(ofList(world, '/subscribers/2065550143/donations'), donation),
        response: { count: 1 },
      },
      '404': noList,
    },
  },
  listSubscriberDonations: {
    outcomes: {
      '200': {
        ...ok,
        first: (world) => world.owner.post(ofList(world, '/subscribers/2065550143/donations'), donation),
        response: { count: 1 },
      },
      '404': noSubscriber,
    },
  },
  createSubscriberDonation: {
    body: donation,
    outcomes: {
      '201': { sentence: 'Donation created', response: { donation: { amount: '25.0', phone_number: '2065550143' } } },
      '404': noSubscriber,
      '422': { sentence: /^Validation failed: Amount /, body: { ...donation, amount: 'much' } },
    },
  },
  createMessageDonation: {
    body: donation,
    outcomes: {
      '201': { sentence: 'Donation created' },
      '404': noMessage,
      '422': { sentence: /^Validation failed: Amount /, body: { ...donation, amount: 'much' } },
    },
  },
}
