import type { Installation } from '../installation.ts'
import { type Pause, type Places, pauseOf } from '../pauses.ts'

const isClaim = 'new.leased_by is not null and new.leased_by is distinct from old.leased_by'

/** The places at which work on an event can be paused, in the order of its steps. */
export const places = {
  changeCommits: { table: 'opts', operation: 'insert', atCommit: true },
  messageReported: { table: 'event_outbox', operation: 'insert', when: "new.type = 'message_sent'" },
  messageReportCommits: {
    table: 'event_outbox',
    operation: 'insert',
    when: "new.type = 'message_sent'",
    atCommit: true,
  },
  resultReported: { table: 'event_outbox', operation: 'insert', when: "new.type = 'transactional_message_status'" },
  outboxTaken: { table: 'event_outbox', operation: 'delete' },
  eventNumbered: { table: 'events', operation: 'insert' },
  fanOut: { table: 'deliveries', operation: 'insert' },
  fanOutCommits: { table: 'deliveries', operation: 'insert', atCommit: true },
  claim: { table: 'endpoints', operation: 'update', when: isClaim },
  claimCommits: { table: 'endpoints', operation: 'update', when: isClaim, atCommit: true },
  mark: { table: 'deliveries', operation: 'delete' },
  markCommits: { table: 'deliveries', operation: 'delete', atCommit: true },
} satisfies Places

export type PlaceName = keyof typeof places

/**
 * Makes workers wait after they have claimed an endpoint, before they read its deliveries. `claim` is a pause at `claimCommits`
 * that a worker has reached.
 */
export async function pauseAfterClaim(installation: Installation, claim: Pause): Promise<Pause> {
  const client = await installation.connect()
  await client.query('begin')
  await client.query('lock table deliveries in access exclusive mode')
  await claim.release()
  const condition = "l.relation = 'deliveries'::regclass and a.query like '/* list_due_deliveries */%'"
  return pauseOf(client, condition, 'rollback')
}
