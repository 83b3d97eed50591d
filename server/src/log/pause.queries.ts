import type { Db } from '../db/db.ts'

/**
 * Locks the message's expansion: waits for a slice that is being written, and prevents the next one until the commit.
 */
export async function lockExpansion(tx: Db, listId: number, messageId: number) {
  await tx.exec(
    'lock_expansion',
    /* sql */ `
    select from expansions e join messages m on m.id = e.message_id
     where e.message_id = $1 and m.list_id = $2 for update of e`,
    [messageId, listId],
  )
}

/** Sets the paused flag of the message's open chunks; waits for uncommitted marks in them. */
export async function setChunksPaused(tx: Db, messageId: number, paused: boolean) {
  await tx.exec(
    'set_chunks_paused',
    /* sql */ `
    with open as materialized (
      select id from send_chunks
       where message_id = $1 and done_at is null and paused <> $2
       order by id for update
    )
    update send_chunks c set paused = $2 from open where c.id = open.id`,
    [messageId, paused],
  )
}

/**
 * Corrects the paused flag of open chunks that differ from their message: a slice that was written while the message
 * was being paused or resumed leaves such chunks. Returns their number.
 */
export async function correctPausedFlags(db: Db): Promise<number> {
  const { corrected } = await db.one<{ corrected: number }>(
    'correct_paused_flags',
    /* sql */ `
    with wrong as (
      select c.id, true as paused
        from messages m cross join lateral (
          select id from send_chunks where message_id = m.id and done_at is null and not paused offset 0) c
       where m.status = 'sending' and m.paused_at is not null
      union all
      select c.id, false
        from send_chunks c cross join lateral (
          select from messages where id = c.message_id and (paused_at is null or status <> 'sending') offset 0) m
       where c.done_at is null and c.paused
    ), locked as materialized (
      select c.id, wrong.paused from send_chunks c join wrong on wrong.id = c.id order by c.id for update of c skip locked
    ), corrected as (
      update send_chunks c set paused = locked.paused from locked where c.id = locked.id returning 1
    )
    select count(*) as corrected from corrected`,
  )
  return corrected
}
