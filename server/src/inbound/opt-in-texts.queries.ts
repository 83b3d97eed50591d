import type { Db } from '../db/db.ts'

/** An MO that may be an opt-in; `form` is its text as it is compared with keywords, null for an opt-in word. */
export type OptInCandidate = { id: number; shortCode: string; phone: number; form: string | null }

/** An opt-in of a blocked number, with the short code; `keywordListId` is null for an opt-in word. */
export type BlockedOptIn = { id: number; shortCodeId: number; accountId: number; keywordListId: number | null }

/** Returns those of these MOs whose sender is blocked at their short code, and that are an opt-in word or a keyword there. */
export function listBlockedOptIns(tx: Db, candidates: OptInCandidate[]) {
  return tx.many<BlockedOptIn>(
    'list_blocked_opt_ins',
    /* sql */ `
    select w.id, s.id as "shortCodeId", s.account_id as "accountId", k.list_id as "keywordListId"
      from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[]) as w(id, code, phone, form)
      join short_codes s on s.code = w.code
     cross join lateral (select from blocks where short_code_id = s.id and phone = w.phone offset 0) b
      left join lateral (
        select k.list_id
          from keywords k join lists l on l.id = k.list_id
         where k.short_code_id = s.id and k.released_at is null and l.deleted_at is null
           and translate(normalize(k.name, nfkc), '-_', '') = w.form
         order by k.name limit 1) k on true
     where w.form is null or k.list_id is not null`,
    [
      candidates.map(({ id }) => id),
      candidates.map(({ shortCode }) => shortCode),
      candidates.map(({ phone }) => phone),
      candidates.map(({ form }) => form),
    ],
  )
}

/**
 * Returns whether an opt-out of this phone, from this short code or from a destination that is not one of ours, is not
 * confirmed yet.
 */
export async function hasUnconfirmedOptOut(tx: Db, phone: number, shortCode: string): Promise<boolean> {
  const row = await tx.maybeOne(
    'find_unconfirmed_opt_out',
    /* sql */ `
    select from inbound_messages
     where phone = $1 and interpreted_at is null and opted_out_at is not null
       and (short_code = $2 or problem = 'destination') limit 1`,
    [phone, shortCode],
  )
  return row !== undefined
}
