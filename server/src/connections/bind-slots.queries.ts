import type { Db } from '../db/db.ts'

// A slot is the right to open one of a connection's binds. One gateway at a time has a lease on it, by the database's clock.

/** Inserts the missing slots of enabled connections and deletes surplus slots that no gateway leases. */
export async function syncSlots(db: Db): Promise<void> {
  await db.exec(
    'sync_slots',
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
 * Renews the leases of a gateway's slots, stores the state of their binds, and returns the slots that it still owns. Also
 * renews an expired slot if no other gateway has claimed it.
 */
export function renewSlots(db: Db, gateway: string, leaseMs: number, owned: OwnedSlot[]) {
  return db.many<SlotKey>(
    'renew_slots',
    /* sql */ `
    with owned as materialized (
      select s.connection_id, s.slot, g.bound, g.last_error
        from unnest($3::smallint[], $4::smallint[], $5::boolean[], $6::text[]) as g(connection_id, slot, bound, last_error)
        join bind_slots s using (connection_id, slot)
       where s.leased_by = $1
       order by s.connection_id, s.slot
         for update of s
    )
    update bind_slots s
       set lease_until = clock_timestamp() + $2 * interval '1 millisecond', bound = o.bound, last_error = o.last_error,
           failing_since = case when o.bound then null
                                when o.last_error is not null then coalesce(s.failing_since, clock_timestamp())
                                else s.failing_since end,
           changed_at = case when (s.bound, s.last_error) is distinct from (o.bound, o.last_error)
                             then clock_timestamp() else s.changed_at end
      from owned o
     where s.connection_id = o.connection_id and s.slot = o.slot
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
  /** Whether there are other serving gateways. */
  shared: boolean
  claimed: number[]
}

/**
 * Leases free slots of these connections to a gateway, up to its share among the serving gateways, and returns the share
 * and the claimed slots. A slot with an expired lease is free, even if the lease is this gateway's, which may have claimed
 * it in a statement whose result was lost.
 */
export function claimSlots(db: Db, gateway: string, leaseMs: number, connectionIds: number[]) {
  return db.many<SlotShare>(
    'claim_slots',
    /* sql */ `
    with serving as (
      select instance_id from heartbeats
       where role = 'gateway' and details->>'serving' = 'true'
         -- heartbeats are sent once per second, and a late one does not mean a dead gateway
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
    ), claimed as (
      update bind_slots s
         set leased_by = $1, lease_until = clock_timestamp() + $2 * interval '1 millisecond', bound = false,
             last_error = null, changed_at = clock_timestamp()
        from chosen c where s.connection_id = c.connection_id and s.slot = c.slot
      returning s.connection_id, s.slot
    )
    select id as "connectionId", share, shared,
           array(select slot from claimed where claimed.connection_id = shares.id order by slot)::int[] as claimed
      from shares`,
    [gateway, leaseMs, connectionIds],
  )
}

/** Releases slots, so that any gateway may claim them immediately. */
export async function releaseSlots(db: Db, gateway: string, slots: SlotKey[]): Promise<void> {
  await db.exec(
    'release_slots',
    /* sql */ `
    update bind_slots s
       set leased_by = null, lease_until = null, bound = false, changed_at = clock_timestamp(),
           failing_since = case when (select enabled from connections where id = s.connection_id) then failing_since end
      from unnest($2::smallint[], $3::smallint[]) as g(connection_id, slot)
     where s.connection_id = g.connection_id and s.slot = g.slot and s.leased_by = $1`,
    [gateway, slots.map((slot) => slot.connectionId), slots.map((slot) => slot.slot)],
  )
}
