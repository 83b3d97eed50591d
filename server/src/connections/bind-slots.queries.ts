import type { Db } from '../db/db.ts'

// A slot is a bind that a connection may have; one gateway at a time owns it, by a lease of the database's clock.

/** Makes the rows of all slots that enabled connections have by now, and drops those they have no more. */
export async function syncSlots(db: Db): Promise<void> {
  await db.exec(
    'make_slots',
    /* sql */ `
    with surplus as (
      delete from bind_slots s using connections c
       where c.id = s.connection_id and s.slot >= c.slots
         and (s.lease_until is null or s.lease_until < clock_timestamp())
    )
    insert into bind_slots (connection_id, slot)
    select c.id, slot from connections c, generate_series(0, c.slots - 1) as slot
     where c.enabled
       and not exists (select from bind_slots s where s.connection_id = c.id and s.slot = slot.slot)
        on conflict do nothing`,
  )
}

export type OwnedSlot = { connectionId: number; slot: number; bound: boolean; lastError: string | null }
export type SlotKey = Pick<OwnedSlot, 'connectionId' | 'slot'>

/**
 * Renews the leases of a gateway's slots, writes down how they do, and answers those that are still its own: also after
 * their time, where nobody has taken them.
 */
export function renewSlots(db: Db, gateway: string, leaseMs: number, owned: OwnedSlot[]) {
  return db.many<SlotKey>(
    'renew_slots',
    /* sql */ `
    with held as materialized (
      select s.connection_id, s.slot, h.bound, h.last_error
        from unnest($3::smallint[], $4::smallint[], $5::boolean[], $6::text[]) as h(connection_id, slot, bound, last_error)
        join bind_slots s using (connection_id, slot)
       where s.leased_by = $1
       order by s.connection_id, s.slot
         for update of s
    )
    update bind_slots s
       set lease_until = clock_timestamp() + $2 * interval '1 millisecond', bound = h.bound, last_error = h.last_error,
           changed_at = case when (s.bound, s.last_error) is distinct from (h.bound, h.last_error)
                             then clock_timestamp() else s.changed_at end
      from held h
     where s.connection_id = h.connection_id and s.slot = h.slot
    returning s.connection_id as "connectionId", s.slot`,
    [
      gateway,
      leaseMs,
      owned.map((slot) => slot.connectionId),
      owned.map((slot) => slot.slot),
      owned.map((slot) => slot.bound),
      owned.map((slot) => slot.lastError),
    ],
  )
}

export type SlotShare = {
  connectionId: number
  share: number
  /** There are other gateways that serve. */
  shared: boolean
  taken: number[]
}

/**
 * Leases free slots of these connections to a gateway, as many as make up its fair share among the gateways that serve,
 * and answers that share and the slots taken. Slots whose lease is over are free, its own too: it may have taken them
 * without hearing of it.
 */
export function claimSlots(db: Db, gateway: string, leaseMs: number, connectionIds: number[]) {
  return db.many<SlotShare>(
    'take_slots',
    /* sql */ `
    with serving as (
      select instance_id from heartbeats
       where role = 'gateway' and details->>'serving' = 'true'
         -- it beats once a second, and one that is late is not dead
         and seen_at > clock_timestamp() - greatest($2, 2500) * interval '1 millisecond'
      union select leased_by from bind_slots where lease_until > clock_timestamp()
      union select $1::uuid
    ), shares as materialized (
      select c.id, ceil(c.slots / (select count(*) from serving)::numeric)::int as share,
             (select count(*) from serving) > 1 as shared,
             (select count(*) from bind_slots s
               where s.connection_id = c.id and s.leased_by = $1 and s.lease_until > clock_timestamp())::int as owned
        from connections c where c.id = any($3::smallint[]) and c.enabled
    ), free as materialized (
      select s.connection_id, s.slot
        from bind_slots s join connections c on c.id = s.connection_id and s.slot < c.slots
       where s.connection_id in (select id from shares where share > owned)
         and (s.lease_until is null or s.lease_until < clock_timestamp())
       order by s.connection_id, s.slot
         for update of s skip locked
    ), chosen as (
      select f.connection_id, f.slot
        from (select *, row_number() over (partition by connection_id order by slot) as n from free) f
        join shares on shares.id = f.connection_id
       where f.n <= shares.share - shares.owned
    ), taken as (
      update bind_slots s
         set leased_by = $1, lease_until = clock_timestamp() + $2 * interval '1 millisecond', bound = false,
             last_error = null, changed_at = clock_timestamp()
        from chosen c where s.connection_id = c.connection_id and s.slot = c.slot
      returning s.connection_id, s.slot
    )
    select id as "connectionId", share, shared,
           array(select slot from taken where taken.connection_id = shares.id order by slot)::int[] as taken
      from shares`,
    [gateway, leaseMs, connectionIds],
  )
}

/** Gives slots up, for any gateway to take at once. */
export async function releaseSlots(db: Db, gateway: string, slots: SlotKey[]): Promise<void> {
  await db.exec(
    'release_slots',
    /* sql */ `
    update bind_slots s
       set leased_by = null, lease_until = null, bound = false, changed_at = clock_timestamp()
      from unnest($2::smallint[], $3::smallint[]) as g(connection_id, slot)
     where s.connection_id = g.connection_id and s.slot = g.slot and s.leased_by = $1`,
    [gateway, slots.map((slot) => slot.connectionId), slots.map((slot) => slot.slot)],
  )
}
