import type { ApiCaller } from '../api.ts'

// The type of a documented outcome, and the parts that outcomes of several nouns share.

/** The fixtures of an outcome: an owner's list with one of each noun. */
export type OutcomeFixtures = {
  owner: ApiCaller
  ids: Record<'list_id' | 'phone_number' | 'message_id' | 'webhook_id' | 'momt_report_id' | 'shortcode', string>
  /** Runs the reports that are due, as a worker does. */
  runReports: () => Promise<void>
}

export type Outcome = {
  /** The literal sentence: `status` of a success, `error` of an error. */
  sentence: string | RegExp
  /** Runs before the call. */
  prepare?: (fixtures: OutcomeFixtures) => Promise<unknown>
  body?: object
  ids?: Partial<OutcomeFixtures['ids']>
  query?: string
  /** Further properties of the response. */
  response?: object
  /** The reason why the outcome is not supported yet. */
  unsupported?: string
}

/** The body of a call that would succeed, and the outcomes that are specific to the operation. */
export type OperationOutcomes = { body?: object; outcomes: Record<string, Outcome> }

export const ok = { sentence: 'OK' }
export const unknownPhone = '2065559999'
export const subscriberNotFound = { sentence: 'Subscriber not found', ids: { phone_number: unknownPhone } }
export const messageNotFound = { sentence: 'Message not found', ids: { message_id: '999999999' } }
export const webhookNotFound = { sentence: 'Webhook not found', ids: { webhook_id: '999999999' } }
export const listNotFound = { sentence: 'List not found', ids: { list_id: '999999999' } }
export const listPath = (fixtures: OutcomeFixtures, path: string) => `/lists/${fixtures.ids.list_id}${path}`

export const donation = { amount: '25.00', donation_platform: 'GiveRiver', donation_platform_uid: 'gr-1' }
