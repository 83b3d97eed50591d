import { setTimeout as delay } from 'node:timers/promises'
import { retryLostRaces } from '../../db/retry.ts'
import type { Recipient } from '../../log/chunk.ts'
import { unmarkSubmitting } from '../../log/marks.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { timing } from '../timing.ts'
import type { LeasedChunk } from './leased-chunk.ts'
import type { WaitingRoom } from './waiting-room.ts'

const { unmarkRetryMaxMs, unmarkRetryMinMs } = timing

/**
 * Moves these recipients from `submitting` back to `queued`, and adds them to the waiting room for a retry after the delay. A
 * failed statement is retried until the chunk is lost; the next lease of a lost chunk marks its `submitting` texts unknown.
 * Never rejects.
 */
export async function unmark(
  { db, log }: Pick<Runtime, 'db' | 'log'>,
  room: WaitingRoom,
  leased: LeasedChunk,
  recipients: Recipient[],
  delayMs: number,
): Promise<void> {
  const ids = recipients.map((recipient) => recipient.id)
  for (let failures = 0; !leased.lost; failures++) {
    try {
      await retryLostRaces(() => unmarkSubmitting(db, leased.chunk, ids))
      room.waitForRetry(leased, recipients, delayMs)
      break
    } catch (error) {
      log.warn({ err: error, chunk: leased.chunk.id }, 'failed to unmark texts, retrying')
      await delay(Math.min(unmarkRetryMaxMs, unmarkRetryMinMs * 2 ** failures))
    }
  }
  leased.open -= recipients.length
}
