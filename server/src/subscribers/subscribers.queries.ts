import type { CustomValue } from '../custom-fields/values.ts'
import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import { receivedCount, receivedCountOfClosed } from './received.sql.ts'
import { type Subscriber, type SubscriberState, subscriberFields } from './subscribers.sql.ts'
import { unionOfTags } from './tags.sql.ts'

export type SubscriberDetail = Subscriber & { messagesReceived: number }

/** The profile of a subscriber; an undefined field does not change. */
export type Profile = {
  firstName?: string
  lastName?: string
  email?: string
  zipCode?: string
  birthdate?: string
  gender?: 'Male' | 'Female' | null
  /** Added to the subscriber's tags. */
  tags?: string[]
  /** By key; null removes a value. */
  customValues?: Record<string, CustomValue | null>
}

export function findSubscriber(db: Db, listId: number, phone: number) {
  return db.maybeOne<Subscriber>(
    'find_subscriber',
    /* sql */ `select ${subscriberFields} from subscribers s where s.list_id = $1 and s.phone = $2`,
    [listId, phone],
  )
}

/** Returns the number on the account's list: undefined without such a list, `phone` null if it was never on it. */
export function findSubscriberOnList(db: Db, accountId: number, listId: number, phone: number) {
  return db.maybeOne<Subscriber | { phone: null }>(
    'find_subscriber_on_list',
    /* sql */ `
    select ${subscriberFields}
      from lists l left join subscribers s on s.list_id = l.id and s.phone = $3
     where l.id = $1 and l.account_id = $2 and l.deleted_at is null`,
    [listId, accountId, phone],
  )
}

/**
 * As `findSubscriber`, and locks the row: no opt-in or opt-out of this number on this list commits before the
 * transaction ends.
 */
export function findSubscriberForUpdate(tx: Db, listId: number, phone: number) {
  return tx.maybeOne<Subscriber>(
    'find_subscriber_for_update',
    /* sql */ `select ${subscriberFields} from subscribers s where s.list_id = $1 and s.phone = $2 for no key update of s`,
    [listId, phone],
  )
}

export type SubscriberKey = { accountId: number; listId: number; phone: number | null }

type DetailRow = { index: number } & (SubscriberDetail | { phone: null })

/**
 * Returns for each key the subscriber and the number of broadcasts of the list that the number received. There is
 * no row for a key whose list is not the account's, and `phone` is null for a number that was never on the list.
 */
export function findSubscriberDetails(db: Db, keys: SubscriberKey[]) {
  return db.many<DetailRow>('find_subscriber_details', detailsWith(receivedCount), keyArrays(keys))
}

/**
 * As `findSubscriberDetails`, but the number is null if a broadcast of the list is not closed: it does without the function that
 * reads the log, whose statements are planned for each execution.
 */
export function findDetailsWithoutLog(db: Db, keys: SubscriberKey[]) {
  return db.many<DetailRow | (Subscriber & { messagesReceived: null })>(
    'find_details_without_log',
    detailsWith(receivedCountOfClosed),
    keyArrays(keys),
  )
}

/** Without `offset 0`, a plan cached from empty tables searched subscribers by phone alone. */
const detailsWith = (count: typeof receivedCount) => /* sql */ `
    select k.index::int as index, ${subscriberFields}, ${count('s.list_id', 's.phone')} as "messagesReceived"
      from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality k (account_id, list_id, phone, index)
      join lists l on l.id = k.list_id and l.account_id = k.account_id and l.deleted_at is null
      left join lateral (select * from subscribers s where s.list_id = k.list_id and s.phone = k.phone offset 0) s on true`

const keyArrays = (keys: SubscriberKey[]) => [
  keys.map(({ accountId }) => accountId),
  keys.map(({ listId }) => listId),
  keys.map(({ phone }) => phone),
]

/** The assignments of the defined fields, with `tags` as the new tags. */
const assignments = (profile: Profile, tags: Sql, at: Date) => {
  const customValues = param(profile.customValues ? JSON.stringify(profile.customValues) : null)
  return sql`
       first_name = coalesce(${profile.firstName ?? null}, first_name),
       last_name = coalesce(${profile.lastName ?? null}, last_name),
       email = coalesce(${profile.email ?? null}, email),
       zip_code = coalesce(${profile.zipCode ?? null}, zip_code),
       birthdate = coalesce(${profile.birthdate ?? null}, birthdate),
       gender = case when ${profile.gender !== undefined} then ${profile.gender ?? null} else gender end,
       tags = ${tags}, updated_at = ${at},
       -- a stored value is never null, so a null removes one
       custom_fields = case when ${customValues}::jsonb is null then custom_fields
                            else jsonb_strip_nulls(custom_fields || ${customValues}) end`
}

/** Writes the defined fields; returns the number of subscribers written, one or zero. */
export function updateProfile(db: Db, listId: number, phone: number, profile: Profile, at: Date) {
  return db.exec(
    'update_profile',
    sql`
    update subscribers set ${assignments(profile, unionOfTags(raw('tags'), sql`${profile.tags ?? []}::text[]`), at)}
     where list_id = ${listId} and phone = ${phone}`,
  )
}

/**
 * Writes the defined fields of several subscribers. Those that would have more than `maxTags` tags do not get the
 * profile's tags.
 */
export function updateProfiles(db: Db, listId: number, phones: number[], profile: Profile, maxTags: number, at: Date) {
  const given = sql`${profile.tags ?? []}::text[]`
  const all = unionOfTags(raw('tags'), given)
  return db.exec(
    'update_profiles',
    sql`
    update subscribers
       set ${assignments(profile, sql`case when cardinality(tags) + cardinality(${given}) > ${maxTags} and cardinality(${all}) > ${maxTags} then tags else ${all} end`, at)}
     where list_id = ${listId} and phone = any(${phones}::bigint[])`,
  )
}

/** Returns the state of a number on a list; undefined if it was never on it. */
export async function findSubscriberState(db: Db, listId: number, phone: number): Promise<SubscriberState | undefined> {
  const row = await db.maybeOne<{ state: SubscriberState }>(
    'find_subscriber_state',
    /* sql */ `select state from subscribers where list_id = $1 and phone = $2`,
    [listId, phone],
  )
  return row?.state
}
