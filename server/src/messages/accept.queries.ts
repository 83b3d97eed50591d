import type { Db } from '../db/db.ts'

export type NewMessage = {
  accountId: number
  listId: number | null
  shortCodeId: number
  kind: 'broadcast' | 'transactional' | 'system'
  name: string | null
  content: string
  phone: number | null
  consent: 'subscribed' | 'not_opted_out' | 'answer'
  partCount: number
  acceptedAt: Date
  /** YYYY-MM-DD; the partition of all its log rows. */
  loggedOn: string
}

/** Makes the partitions of a day where they are missing; cheap where they are there. */
export async function ensureLogDay(tx: Db, day: string) {
  await tx.exec('ensure_log_day', /* sql */ `select ensure_log_day($1::date)`, [day])
}

/** A message on its way, with its counters at zero and its expansion at the beginning. */
export async function insertBroadcast(tx: Db, message: NewMessage): Promise<number> {
  const { id } = await tx.one<{ id: number }>(
    'insert_broadcast',
    /* sql */ `
    with added as (
      insert into messages (account_id, list_id, short_code_id, kind, name, content, phone, consent, part_count,
                            status, logged_on, accepted_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'sending', $10, $11)
      returning id
    ), counters as (
      insert into message_counters (message_id) select id from added
    )
    insert into expansions (message_id) select id from added
    returning message_id as id`,
    values(message),
  )
  return id
}

/** A message to one number, its log row and its chunk: nothing is left to expand. */
export async function insertSingle(tx: Db, message: NewMessage, lane: number): Promise<number> {
  const { id } = await tx.one<{ id: number }>(
    'insert_single',
    /* sql */ `
    with block as (
      select nextval('message_log_blocks') * 16384 as log_id
    ), added as (
      insert into messages (account_id, list_id, short_code_id, kind, name, content, phone, consent, part_count,
                            status, logged_on, accepted_at, expanded_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'sending', $10, $11, $11)
      returning id
    ), counters as (
      insert into message_counters (message_id, audience, queued) select id, 1, 1 from added
    ), logged as (
      insert into message_log (id, logged_on, message_id, phone, state, part_count)
      select block.log_id, $10, added.id, $7, 'queued', $9 from added, block
    ), chunk as (
      insert into send_chunks (message_id, logged_on, lane, due_at, first_log_id, last_log_id)
      select added.id, $10, $12, $11, block.log_id, block.log_id from added, block
    )
    select id from added`,
    [...values(message), lane],
  )
  return id
}

function values(message: NewMessage): unknown[] {
  return [
    message.accountId,
    message.listId,
    message.shortCodeId,
    message.kind,
    message.name,
    message.content,
    message.phone,
    message.consent,
    message.partCount,
    message.loggedOn,
    message.acceptedAt,
  ]
}
