import type { Db } from '../db/db.ts'
import { type Chunk, ownChunkId } from './chunk.ts'
import { countMoves } from './counters.sql.ts'
import { logTable } from './log-days.ts'
import { from, to } from './transitions.ts'

/**
 * Renews leases and returns, by chunk id, whether the message is cancelled, for the chunks that are still leased to the
 * caller. An unchanged epoch proves that no other gateway has claimed the chunk, even if the lease had expired.
 */
export async function renewLeases(db: Db, leaseMs: number, chunks: Array<{ id: number; epoch: number }>) {
  const leased = [...chunks].sort((a, b) => a.id - b.id)
  const rows = await db.many<{ id: number; cancelled: boolean }>(
    'renew_leases',
    /* sql */ `
    update send_chunks c set lease_until = clock_timestamp() + $1 * interval '1 millisecond'
      from unnest($2::bigint[], $3::int[]) as own(id, epoch)
     where c.id = own.id and c.epoch = own.epoch and c.done_at is null
    returning c.id, (select m.status = 'cancelled' from messages m where m.id = c.message_id) as cancelled`,
    [leaseMs, leased.map((c) => c.id), leased.map((c) => c.epoch)],
  )
  return new Map(rows.map((row) => [row.id, row.cancelled]))
}

/** Ends leases early, so that another gateway can lease the chunks immediately. */
export async function releaseChunks(db: Db, chunks: Array<{ id: number; epoch: number }>) {
  const leased = [...chunks].sort((a, b) => a.id - b.id)
  await db.exec(
    'release_chunks',
    /* sql */ `
    update send_chunks c set lease_until = null, leased_by = null
      from unnest($1::bigint[], $2::int[]) as own(id, epoch)
     where c.id = own.id and c.epoch = own.epoch and c.done_at is null`,
    [leased.map((c) => c.id), leased.map((c) => c.epoch)],
  )
}

/** Closes a chunk; returns false if it has queued or submitting rows, or a newer epoch. */
export async function finishChunk(db: Db, chunk: Chunk): Promise<boolean> {
  const rows = await db.exec(
    `finish_chunk_${chunk.loggedOn}`,
    /* sql */ `
    update send_chunks c set done_at = clock_timestamp(), lease_until = null
     where c.id = $1 and c.epoch = $2 and c.done_at is null
       and not exists (select from ${logTable(chunk.loggedOn)} l
                        where l.id between $3 and $4 and l.state in ('queued', 'submitting')
                          and l.chunk_id is not distinct from $5)`,
    [chunk.id, chunk.epoch, chunk.firstLogId, chunk.lastLogId, ownChunkId(chunk)],
  )
  return rows === 1
}

/**
 * Marks as unknown the submitting rows of an earlier owner of the chunk, and returns their number: their PDUs may have
 * been written, and no process will read the responses, so only a receipt can settle them.
 */
export function abandonSubmitting(db: Db, chunk: Chunk): Promise<number> {
  return db.exec(
    `abandon_submitting_${chunk.loggedOn}`,
    /* sql */ `
    with moved as (
      update ${logTable(chunk.loggedOn)} l set state = ${to('abandon')}, carrier_status = 'no response'
       where l.id between $1 and $2 and l.state = ${from('abandon')} and l.chunk_id is not distinct from $5
         and exists (select from send_chunks c where c.id = $3 and c.epoch = $4 for share)
      returning l.message_id
    )${countMoves(['abandon'])}`,
    [chunk.firstLogId, chunk.lastLogId, chunk.id, chunk.epoch, ownChunkId(chunk)],
  )
}
