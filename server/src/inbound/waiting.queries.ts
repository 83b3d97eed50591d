import type { Db } from '../db/db.ts'

// The MOs that wait to be interpreted or confirmed.

export type WaitingInbound = { id: number; phone: number; shortCode: string }

export type UnhandledInbound = WaitingInbound & {
  /** An opt-out of the same phone is not confirmed yet; HELP gets no reply before that. */
  isBehind: boolean
}

const isBehind = /* sql */ `
  exists (select from inbound_messages o
           where o.phone = i.phone and o.short_code = i.short_code
             and o.interpreted_at is null and o.opted_out_at is not null)`

/**
 * Returns the first `perPhone` MOs of each phone and short code that wait, for up to `limit` waiting opt-outs after the id
 * `after`, in order of arrival: the opt-outs with what their phones sent before them. `last` is the id of the last opt-out, null if
 * there are no more.
 */
export function listWaitingOptOuts(db: Db, after: number, limit: number, perPhone: number) {
  return db.many<UnhandledInbound & { last: number | null }>(
    'list_waiting_opt_outs',
    /* sql */ `
    with opt_outs as materialized (
      select id, phone, short_code from inbound_messages
       where interpreted_at is null and opted_out_at is null and kind = 'opt_out' and id > $1
       order by id limit $2
    )
    select i.id, i.phone, i.short_code as "shortCode", ${isBehind} as "isBehind",
           (select case count(*) when $2 then max(id) end from opt_outs) as last
      from (select distinct phone, short_code from opt_outs) o
     cross join lateral (
       select id, phone, short_code from inbound_messages
        where interpreted_at is null and opted_out_at is null
          -- not =, for the reason below
          and phone >= o.phone and phone <= o.phone and short_code = o.short_code
        order by phone, id limit $3) i
     order by i.id`,
    [after, limit, perPhone],
  )
}

/** Returns up to `limit` destinations with unhandled MOs in order, from the one behind `after` on. */
export async function listWaitingDestinations(db: Db, after: string, limit: number): Promise<string[]> {
  const rows = await db.many<{ code: string }>(
    'list_waiting_destinations',
    /* sql */ `
    with recursive found (code, n) as (
      -- one look-up per destination
      (select short_code, 1 from inbound_messages
        where interpreted_at is null and opted_out_at is null and short_code > $1 order by short_code limit 1)
      union all
      select (select short_code from inbound_messages
               where interpreted_at is null and opted_out_at is null and short_code > code order by short_code limit 1),
             n + 1
        from found where code is not null and n < $2
    )
    select code from found where code is not null order by code`,
    [after, limit],
  )
  return rows.map(({ code }) => code)
}

/** A destination, and the id of the MO behind which its MOs are read. */
export type DestinationPage = { code: string; after: number }

/**
 * Returns up to `share` unhandled MOs of each of these pages, so that many to one destination do not delay those to another.
 * They are in order of arrival, and the first ones of all destinations come first.
 */
export function listUnhandledInbound(db: Db, pages: DestinationPage[], share: number) {
  return db.many<UnhandledInbound>(
    'list_unhandled_inbound',
    /* sql */ `
    select i.id, i.phone, i.short_code as "shortCode", ${isBehind} as "isBehind"
      from unnest($1::text[], $2::bigint[]) as page(code, after)
     cross join lateral (
       select id, phone, short_code, row_number() over (order by short_code, id) as n
         from (select id, phone, short_code from inbound_messages
                where interpreted_at is null and opted_out_at is null
                  -- not =, with which the primary key, and a scan of all interpreted MOs, would have the order as well
                  and (short_code, id) > (page.code, page.after) and short_code <= page.code
                order by short_code, id limit $3) waiting) i
     order by n, id`,
    [pages.map(({ code }) => code), pages.map(({ after }) => after), share],
  )
}

/** Returns up to `limit` opt-outs that are not confirmed yet, by the time of the opt-out. */
export function listUnconfirmedInbound(db: Db, limit: number) {
  return db.many<WaitingInbound>(
    'list_unconfirmed_inbound',
    /* sql */ `
    select id, phone, short_code as "shortCode" from inbound_messages
     where interpreted_at is null and opted_out_at is not null
     order by opted_out_at, id limit $1`,
    [limit],
  )
}
