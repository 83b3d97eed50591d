import type { Db } from '../../db/db.ts'
import { timing } from '../timing.ts'

const { shareGraceMs } = timing

// The shares that gateways have of each cap. Those of a cap never add up to more than the cap: a share grows only in a
// statement that finds the cap's version as it was when the shares were listed, and each growth increments it. Lease times are
// the database's. A share counts until it is deleted, well after its lease has ended.

export type LeasedShare = { cap: string; version: number; gateway: string; mps: number; wanted: boolean }
export type Renewal = { cap: string; kept: number; wanted: boolean }

/** What Shares needs of the table. */
export type ShareTable = {
  renew(leaseMs: number, renewals: Renewal[]): Promise<Set<string>>
  join(leaseMs: number, caps: string[]): Promise<void>
  forget(): Promise<void>
  list(caps: string[]): Promise<LeasedShare[]>
  grow(share: { cap: string; version: number; mps: number }): Promise<boolean>
  leave(caps: string[]): Promise<void>
}

/** The table of shares as one gateway uses it. */
export function shareTable(db: Db, gateway: string): ShareTable {
  return {
    /** Renews the leases of our shares, reduced to what we keep to, and returns the caps of which we have one. */
    async renew(leaseMs, renewals) {
      const rows = await db.many<{ cap: string }>(
        'renew_shares',
        /* sql */ `
        update rate_shares s
           set mps = least(s.mps, r.kept), wanted = r.wanted,
               lease_until = clock_timestamp() + $2 * interval '1 millisecond'
          from unnest($3::text[], $4::int[], $5::boolean[]) as r(cap, kept, wanted)
         where s.cap = r.cap and s.gateway = $1
        returning s.cap`,
        [
          gateway,
          leaseMs,
          renewals.map(({ cap }) => cap),
          renewals.map(({ kept }) => kept),
          renewals.map(({ wanted }) => wanted),
        ],
      )
      return new Set(rows.map(({ cap }) => cap))
    },

    /** Inserts a share of 0 for each of these caps. */
    async join(leaseMs, caps) {
      await db.exec(
        'join_shares',
        /* sql */ `
        with known as (
          insert into rate_caps (cap) select unnest($3::text[]) order by 1 on conflict do nothing
        )
        insert into rate_shares (cap, gateway, mps, lease_until)
        select cap, $1, 0, clock_timestamp() + $2 * interval '1 millisecond' from unnest($3::text[]) as c(cap)
            -- one that we have just left is ours again, as large as it was
            on conflict (cap, gateway) do update set lease_until = excluded.lease_until`,
        [gateway, leaseMs, caps],
      )
    },

    /** Deletes the shares of gateways that died or left. */
    async forget() {
      await db.exec(
        'forget_shares',
        /* sql */ `delete from rate_shares where lease_until < clock_timestamp() - $1 * interval '1 millisecond'`,
        [shareGraceMs],
      )
    },

    /** All shares of these caps, each with its cap's version. */
    list(caps) {
      return db.many<LeasedShare>(
        'list_shares',
        /* sql */ `
        select c.cap, c.version, s.gateway, s.mps, s.wanted
          from rate_caps c join rate_shares s on s.cap = c.cap
         where c.cap = any($1::text[])`,
        [caps],
      )
    },

    /** Makes our share this large; false, and nothing changed, when another one has grown since they were listed. */
    async grow({ cap, version, mps }) {
      const rows = await db.exec(
        'grow_share',
        /* sql */ `
        with turn as (
          update rate_caps set version = version + 1 where cap = $1 and version = $2 returning cap
        )
        update rate_shares s set mps = $4 from turn where s.cap = turn.cap and s.gateway = $3`,
        [cap, version, gateway, mps],
      )
      return rows === 1
    },

    /** Ends our leases: the shares are free for others after the grace period. */
    async leave(caps) {
      await db.exec(
        'leave_shares',
        /* sql */ `
        update rate_shares set lease_until = clock_timestamp() where gateway = $1 and cap = any($2::text[])`,
        [gateway, caps],
      )
    },
  }
}
