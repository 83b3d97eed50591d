import { expect } from 'vitest'
import {
  donation,
  listNotFound,
  listPath,
  messageNotFound,
  type OperationOutcomes,
  ok,
  webhookNotFound,
} from './outcome.ts'
import { subscriberOutcomes } from './subscriber-outcomes.ts'

// The documented outcomes of each operation, with the calls that cause them.

const dateRange = { start_date: '20200101', end_date: '20991231' }

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

export const outcomes: Record<string, OperationOutcomes> = {
  ...subscriberOutcomes,
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
        prepare: (fixtures) => fixtures.owner.put(listPath(fixtures, '/keywords'), { keyword_names: ['PANTRY'] }),
        body: { list: { name: 'Other', keyword_names: ['pantry'] } },
      },
    },
  },
  getList: { outcomes: { '200': ok, '404': listNotFound } },
  updateList: {
    body: { list: { name: 'Cedar Valley Winter' } },
    outcomes: {
      '200': { ...ok, response: { list: { name: 'Cedar Valley Winter' } } },
      '404': listNotFound,
      '422': { sentence: "Validation failed: Name can't be blank", body: { list: { name: '' } } },
    },
  },
  deleteList: { outcomes: { '200': { sentence: 'List Destroyed' }, '404': listNotFound } },
  configureOptIn: {
    body: { opt_in_type: 'single' },
    outcomes: {
      '200 double': { sentence: 'Opt in settings updated', body: double, response: { opt_in_type: 'double' } },
      '200 single': {
        sentence: 'Opt in settings updated',
        body: { opt_in_type: 'single', first_optin_message: 'You are in.', second_optin_message: 'Back again.' },
        response: { first_optin_message: 'You are in.', second_optin_message: 'Back again.' },
      },
      '404': listNotFound,
      '422': { sentence: /^Validation failed: Opt in type /, body: { opt_in_type: 'triple' } },
    },
  },
  setKeywords: {
    body: { keyword_names: ['pantry', 'cedar'] },
    outcomes: {
      '200': { sentence: 'Keywords changed', response: { keyword_names: ['PANTRY', 'CEDAR'] } },
      '404': listNotFound,
      '422': {
        sentence: 'invalid keyword names: FRESH',
        prepare: (fixtures) => fixtures.owner.post('/lists', { list: { name: 'Other', keyword_names: ['FRESH'] } }),
        body: { keyword_names: ['fresh'] },
      },
    },
  },
  listSentMessages: {
    outcomes: {
      '200': {
        ...ok,
        query: `?${new URLSearchParams(dateRange)}`,
        response: { messages: [{ is_broadcast: true }], count: 1 },
      },
      '404': listNotFound,
    },
  },
  sendMessage: {
    body: { message: { content: 'Pantry opens at 9.' } },
    outcomes: {
      '200': { ...ok, response: { message: { id: expect.any(Number) } } },
      '404': listNotFound,
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
        prepare: (fixtures) =>
          fixtures.owner.post(listPath(fixtures, '/messages'), { message: { content: 'Later', draft: true } }),
        response: { count: 1, messages: [{ status: 'draft', is_broadcast: false }] },
      },
      '404': listNotFound,
    },
  },
  listScheduledMessages: {
    outcomes: {
      '200': {
        ...ok,
        prepare: (fixtures) =>
          fixtures.owner.post(listPath(fixtures, '/messages'), {
            message: { content: 'Later', send_at: '2098-01-02T03:04:05Z' },
          }),
        response: {
          count: 1,
          messages: [{ status: 'scheduled', is_broadcast: false, sent_at: '2098-01-01T19:04:05-08:00' }],
        },
      },
      '404': listNotFound,
    },
  },
  getMessage: { outcomes: { '200': { ...ok, response: { message: { status: 'sending' } } }, '404': messageNotFound } },
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
      '200 processed': {
        ...ok,
        prepare: ({ runReports }) => runReports(),
        response: { momt_report: { counts_calculated: true, percent_complete: 100, run_errors: null } },
      },
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
        prepare: (fixtures) => fixtures.owner.put(listPath(fixtures, '/keywords'), { keyword_names: ['PANTRY'] }),
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
  listWebhooks: { outcomes: { '200': { ...ok, response: { count: 1 } }, '404': listNotFound } },
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
      '404': listNotFound,
      '422': {
        sentence: /^Validation failed: Callback url /,
        body: { webhook: { callback_url: 'ftp://cedar.example' } },
      },
    },
  },
  getWebhook: { outcomes: { '200': ok, '404': webhookNotFound } },
  updateWebhook: {
    body: { webhook: { cleaned: true } },
    outcomes: {
      '200': { sentence: 'Webhook updated', response: { webhook: { cleaned: true } } },
      '404': webhookNotFound,
      '422': { sentence: /^Validation failed: Callback url /, body: { webhook: { callback_url: 'nowhere' } } },
    },
  },
  deleteWebhook: { outcomes: { '200': { sentence: 'Webhook destroyed' }, '404': webhookNotFound } },
  listDonations: {
    outcomes: {
      '200': {
        ...ok,
        prepare: (fixtures) => fixtures.owner.post(listPath(fixtures, '/subscribers/2065550143/donations'), donation),
        response: { count: 1 },
      },
      '404': listNotFound,
    },
  },
  createMessageDonation: {
    body: donation,
    outcomes: {
      '201': { sentence: 'Donation created' },
      '404': messageNotFound,
      '422': { sentence: /^Validation failed: Amount /, body: { ...donation, amount: 'much' } },
    },
  },
}
