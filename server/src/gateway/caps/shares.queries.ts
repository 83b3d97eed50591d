import type { Db } from '../../db/db.ts'
import { timing } from '../timing.ts'

const { shareGraceMs } = timing

// Each gateway's share of each cap. The shares of a cap never add up to more than the cap: a share grows only in a statement
// that finds the cap's version unchanged since the shares were listed, and each growth increments the version. Lease times are
// the database's. A share counts until it is deleted, which is `shareGraceMs` after the end of its lease.

/** `needsTokens`: the gateway had too few tokens within the last `capIdleMs`. */
export type LeasedShare = { cap: string; version: number; gateway: string; mps: number; needsTokens: boolean }
/** `effectiveLimit`: see `Cap.effectiveLimit`; the share is reduced to it. */
export type Renewal = { cap: string; effectiveLimit: number; needsTokens: boolean }

/** The statements that Shares runs; tests replace them. */
export type ShareTable = {
  renew(leaseMs: number, renewals: Renewal[]): Promise<Set<string>>
  join(leaseMs: number, caps: string[]): Promise<void>
  deleteExpired(): Promise<void>
  list(caps: string[]): Promise<LeasedShare[]>
  grow(share: { cap: string; version: number; mps: number }): Promise<boolean>
  release(caps: string[]): Promise<void>
}

/** Returns the statements on shares, for one gateway. */
export function shareTable(db: Db, gateway: string): ShareTable {
  return {
    /** Renews the leases of our shares, reduced to their effective limits, and returns the caps of which we still have a share. */
    async renew(leaseMs, renewals) {
      const rows = await db.many<{ cap: string }>(
        'renew_shares',
        /* sql */ `
        update rate_shares s
           set mps = least(s.mps, r.effective_limit), wanted = r.needs_tokens,
               lease_until = clock_timestamp() + $2 * interval '1 millisecond'
          from unnest($3::text[], $4::int[], $5::boolean[]) as r(cap, effective_limit, needs_tokens)
         where s.cap = r.cap and s.gateway = $1
        returning s.cap`,
        [
          gateway,
          leaseMs,
          renewals.map(({ cap }) => cap),
          renewals.map(({ effectiveLimit }) => effectiveLimit),
          renewals.map(({ needsTokens }) => needsTokens),
        ],
      )
      return new Set(rows.map(({ cap }) => cap))
    },

    /** Inserts a share of 0 of each of these caps. */
    async join(leaseMs, caps) {
      await db.exec(
        'join_shares',
        /* sql */ `
        with new_caps as (
          insert into rate_caps (cap) select unnest($3::text[]) order by 1 on conflict do nothing
        )
        insert into rate_shares (cap, gateway, mps, lease_until)
        select cap, $1, 0, clock_timestamp() + $2 * interval '1 millisecond' from unnest($3::text[]) as c(cap)
            -- a share that we released a moment ago is ours again, as large as it was
            on conflict (cap, gateway) do update set lease_until = excluded.lease_until`,
        [gateway, leaseMs, caps],
      )
    },

    /** Deletes the shares whose leases ended more than `shareGraceMs` ago, by release or because their gateways died. */
    async deleteExpired() {
      await db.exec(
        'delete_expired_shares',
        /* sql */ `delete from rate_shares where lease_until < clock_timestamp() - $1 * interval '1 millisecond'`,
        [shareGraceMs],
      )
    },

    /** Returns all gateways' shares of these caps, each with its cap's version. */
    list(caps) {
      return db.many<LeasedShare>(
        'list_shares',
        /* sql */ `
        select c.cap, c.version, s.gateway, s.mps, s.wanted as "needsTokens"
          from rate_caps c join rate_shares s on s.cap = c.cap
         where c.cap = any($1::text[])`,
        [caps],
      )
    },

    /** Sets the size of our share; returns false and changes nothing if another share has grown since they were listed. */
    async grow({ cap, version, mps }) {
      const rows = await db.exec(
        'grow_share',
        /* sql */ `
        with unchanged_cap as (
          update rate_caps set version = version + 1 where cap = $1 and version = $2 returning cap
        )
        update rate_shares s set mps = $4 from unchanged_cap c where s.cap = c.cap and s.gateway = $3`,
        [cap, version, gateway, mps],
      )
      return rows === 1
    },

    /** Ends our leases; other gateways can lease the shares after the grace period. */
    async release(caps) {
      await db.exec(
        'release_shares',
        /* sql */ `
        update rate_shares set lease_until = clock_timestamp() where gateway = $1 and cap = any($2::text[])`,
        [gateway, caps],
      )
    },
  }
}
