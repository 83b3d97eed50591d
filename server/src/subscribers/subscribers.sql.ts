import { customFieldsJson } from '../custom-fields/custom-fields.sql.ts'
import type { ValueRules } from '../custom-fields/values.ts'

export type SubscriberState = 'pending' | 'subscribed' | 'unsubscribed' | 'cleaned'

export type Subscriber = {
  listId: number
  phone: number
  state: SubscriberState
  firstName: string
  lastName: string
  email: string
  zipCode: string
  birthdate: string
  gender: 'Male' | 'Female' | null
  tags: string[]
  carrier: number
  carrierName: string | null
  globalCarrierId: string | null
  globalCarrierName: string | null
  optInMethod: string | null
  apiSource: string | null
  keywordName: string | null
  subscribedAt: Date | null
  optInRequestedAt: Date | null
  optedOutAt: Date | null
  cleanedAt: Date | null
  /** By key, including the values of deleted fields. */
  customValues: Record<string, unknown>
  /** The custom fields of the list. */
  customFields: ValueRules[]
}

const subscriberColumns = /* sql */ `
  s.list_id as "listId", s.phone, s.state, s.first_name as "firstName", s.last_name as "lastName", s.email,
  s.zip_code as "zipCode", s.birthdate, s.gender, s.tags, s.carrier, s.carrier_name as "carrierName",
  s.global_carrier_id as "globalCarrierId", s.global_carrier_name as "globalCarrierName",
  s.opt_in_method as "optInMethod", s.api_source as "apiSource", s.keyword_name as "keywordName",
  s.subscribed_at as "subscribedAt", s.opt_in_requested_at as "optInRequestedAt", s.opted_out_at as "optedOutAt",
  s.cleaned_at as "cleanedAt", s.custom_fields as "customValues"`

/** The columns of a Subscriber `s`: one statement reads the custom fields of the list, too, because this is the most frequent read. */
export const subscriberFields = /* sql */ `${subscriberColumns}, ${customFieldsJson('s.list_id')} as "customFields"`
