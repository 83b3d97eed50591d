import { expect } from 'vitest'
import {
  donation,
  listNotFound,
  listPath,
  type OperationOutcomes,
  type Outcome,
  ok,
  subscriberNotFound,
  unknownPhone,
} from './outcome.ts'

// The documented outcomes of the operations on subscribers, tags and custom fields.

const field = { label: 'Size', key: 'size', content_type: 'number', max_length: 3 }

const add = (phone: string, flags: object = {}) => ({ subscriber: { phone_number: phone, ...flags } })
const silent = { bypass_opt_in_process: true, bypass_opt_in_response: true }
const newPhone = '2065550144'

const customFieldOutcomes: Record<string, Outcome> = {
  '201': {
    sentence: 'OK',
    response: { custom_field: { key: 'size', can_insert: true, can_segment: true, mask: null } },
  },
  '404': listNotFound,
}

export const subscriberOutcomes: Record<string, OperationOutcomes> = {
  listSubscribedNumbers: {
    outcomes: { '200': { ...ok, response: { phone_numbers: ['2065550143'] } }, '404': listNotFound },
  },
  addSubscriber: {
    body: add(newPhone),
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
        body: add(newPhone, silent),
        response: { subscriber: { optin_in_progress: false } },
      },
      '201 welcomed': {
        sentence: 'Subscriber added',
        prepare: (fixtures) =>
          fixtures.owner.put(listPath(fixtures, ''), { list: { first_optin_message: 'Welcome!' } }),
        body: add(newPhone, { bypass_opt_in_process: true }),
        response: { subscriber: { optin_in_progress: false } },
      },
      '201 alreadyAsked': {
        sentence: 'Subscriber has already been sent opt-in message for this campaign.',
        prepare: (fixtures) => fixtures.owner.post(listPath(fixtures, '/subscribers'), add(newPhone)),
        response: { subscriber: { optin_in_progress: true } },
      },
      '201 refused': {
        sentence: /security timeout.* wait 4[78] hours and \d+ minutes?/,
        prepare: (fixtures) => fixtures.owner.delete(listPath(fixtures, '/subscribers/2065550143')),
        body: add('2065550143', silent),
        response: { subscriber: { optin_in_progress: false } },
      },
      '404': listNotFound,
      '422': { sentence: 'Bad phone number: landline or unreachable carrier', body: add('2065550100') },
    },
  },
  listUnsubscribedNumbers: {
    outcomes: {
      '200': {
        ...ok,
        prepare: (fixtures) => fixtures.owner.delete(listPath(fixtures, '/subscribers/2065550143')),
        response: { phone_numbers: ['2065550143'], count: 1 },
      },
      '404': listNotFound,
    },
  },
  getSubscriber: {
    outcomes: { '200': { ...ok, response: { subscriber: { total_messages_received: 0 } } }, '404': subscriberNotFound },
  },
  updateSubscriber: {
    body: { subscriber: { phone_number: '2065550143', first_name: 'Marisol' } },
    outcomes: {
      '200': { sentence: 'Subscriber has been updated.', response: { subscriber: { first_name: 'Marisol' } } },
      '404': subscriberNotFound,
      '422': { sentence: /^Validation failed: Gender /, body: { subscriber: { gender: 'Unicorn' } } },
    },
  },
  unsubscribeSubscriber: {
    outcomes: {
      '200': { sentence: 'successfully unsubscribed', response: { subscriber: { opted_out_at: expect.any(String) } } },
      '404': subscriberNotFound,
    },
  },
  deleteSubscriberTags: {
    body: { tags: ['vip', 'gone'] },
    outcomes: {
      '200': {
        ...ok,
        prepare: (fixtures) =>
          fixtures.owner.put(listPath(fixtures, '/subscribers/2065550143'), { subscriber: { tags: 'vip, local' } }),
        response: { deleted: ['vip'], not_found: ['gone'], message: 'Tag removal completed with partial success.' },
      },
      '404': subscriberNotFound,
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
      '404': listNotFound,
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
        prepare: (fixtures) => fixtures.owner.post(listPath(fixtures, '/custom_fields'), { custom_field: field }),
        response: { custom_fields: [{ key: 'size' }] },
      },
      '404': listNotFound,
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
        prepare: (fixtures) => fixtures.owner.post(listPath(fixtures, '/custom_fields'), { custom_field: field }),
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
        prepare: (fixtures) => fixtures.owner.post(listPath(fixtures, '/custom_fields'), { custom_field: field }),
      },
      '404': { sentence: 'Custom field not found', body: { key: 'nothing' } },
    },
  },
  deleteTags: {
    body: { tags: ['vip'] },
    outcomes: {
      '200': { sentence: 'Tags enqueued for deletion' },
      '404': listNotFound,
      '422': { sentence: "Validation failed: Tags can't be blank", body: { tags: [] } },
    },
  },
  updateSubscriberAsync: {
    body: { subscriber: { first_name: 'Marisol' } },
    outcomes: { '200': { sentence: 'Subscriber update is being processed.' }, '404': subscriberNotFound },
  },
  listCleanedNumbers: { outcomes: { '200': ok, '404': listNotFound } },
  addTagsLegacy: {
    body: { phone_numbers: ['2065550143'], tags: ['vip'] },
    outcomes: { '200': { sentence: 'Tags were applied' }, '404': listNotFound },
  },
  createCustomFieldAlias: {
    body: { custom_field: field },
    outcomes: {
      ...customFieldOutcomes,
      '422': { sentence: /^Validation failed: /, body: { custom_field: { ...field, max_length: 0 } } },
    },
  },
  listSubscriberDonations: {
    outcomes: {
      '200': {
        ...ok,
        prepare: (fixtures) => fixtures.owner.post(listPath(fixtures, '/subscribers/2065550143/donations'), donation),
        response: { count: 1 },
      },
      '404': subscriberNotFound,
    },
  },
  createSubscriberDonation: {
    body: donation,
    outcomes: {
      '201': { sentence: 'Donation created', response: { donation: { amount: '25.0', phone_number: '2065550143' } } },
      '404': subscriberNotFound,
      '422': { sentence: /^Validation failed: Amount /, body: { ...donation, amount: 'much' } },
    },
  },
}
