import type { Db } from '../db/db.ts'
import { type Chunk, ownChunkId } from './chunk.ts'
import { countMoves } from './counters.sql.ts'
import { logTable } from './log-days.ts'
import { from, to } from './transitions.ts'

/**
 * Renews leases and answers the chunks still ours, and of each whether its message is cancelled. Ours are those whose
 * epoch nobody raised, even if the lease had run out meanwhile, because then nobody wanted it.
 */
export async function renewLeases(db: Db, leaseMs: number, chunks: Array<{ id: number; epoch: number }>) {
  const held = [...chunks].sort((a, b) => a.id - b.id)
  const rows = await db.many<{ id: number; cancelled: boolean }>(
    'renew_leases',
    /* sql */ `
    update send_chunks c set lease_until = clock_timestamp() + $1 * interval '1 millisecond'
      from unnest($2::bigint[], $3::int[]) as h(id, epoch)
     where c.id = h.id and c.epoch = h.epoch and c.done_at is null
    returning c.id, (select m.status = 'cancelled' from messages m where m.id = c.message_id) as cancelled`,
    [leaseMs, held.map((c) => c.id), held.map((c) => c.epoch)],
  )
  return new Map(rows.map((row) => [row.id, row.cancelled]))
}

/** Gives a chunk back before its lease is over, so that another gateway may go on with it at once. */
export async function releaseChunks(db: Db, chunks: Array<{ id: number; epoch: number }>) {
  const held = [...chunks].sort((a, b) => a.id - b.id)
  await db.exec(
    'release_chunks',
    /* sql */ `
    update send_chunks c set lease_until = null, leased_by = null
      from unnest($1::bigint[], $2::int[]) as h(id, epoch)
     where c.id = h.id and c.epoch = h.epoch and c.done_at is null`,
    [held.map((c) => c.id), held.map((c) => c.epoch)],
  )
}

/** Closes a chunk in which nobody is queued or submitting any more; false when somebody is, or it is not ours. */
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
 * What an earlier owner of the chunk left in the middle: submitted perhaps, and nobody will ever read the answer.
 * These rows become unknown; only a receipt can tell. Answers how many.
 */
export function abandonSubmitting(db: Db, chunk: Chunk): Promise<number> {
  return db.exec(
    `abandon_submitting_${chunk.loggedOn}`,
    /* sql */ `
    with moved as (
      update ${logTable(chunk.loggedOn)} l set state = ${to('abandon')}, carrier_status = 'no answer'
       where l.id between $1 and $2 and l.state = ${from('abandon')} and l.chunk_id is not distinct from $5
         and exists (select from send_chunks c where c.id = $3 and c.epoch = $4 for share)
      returning l.message_id
    )${countMoves(['abandon'])}`,
    [chunk.firstLogId, chunk.lastLogId, chunk.id, chunk.epoch, ownChunkId(chunk)],
  )
}
