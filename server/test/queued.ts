import type { Db } from '../src/db/db.ts'
import type { Chunk } from '../src/log/chunk.ts'
import { listQueuedByChunk } from '../src/log/marks.queries.ts'

/** Returns the queued recipients of one chunk in the order of their ids. */
export async function listQueued(db: Db, chunk: Chunk) {
  const recipients = await listQueuedByChunk(db, chunk.loggedOn, [chunk])
  return recipients.get(chunk.id) ?? []
}
