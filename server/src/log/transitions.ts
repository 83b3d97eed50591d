import { raw, type Sql } from '../db/sql.ts'

/** The states of a log row; each is a column of message_counters. */
export const states = [
  'queued',
  'submitting',
  'sent',
  'unknown',
  'delivered',
  'bounced',
  'expired',
  'suppressed',
  'cancelled',
] as const
export type State = (typeof states)[number]

/** The processes that change rows of the log; the command-line tools change none. */
export type MovingRole = 'api' | 'worker' | 'gateway'

export type Transition = {
  /** Null: the row is inserted and counted in the audience. */
  from: State | null
  to: State
  /** The roles that make it; the faults scenario compares them with the database sessions that changed rows. */
  by: readonly MovingRole[]
  /** The columns of message_log that change together with the state. */
  sets: readonly LogColumn[]
}

export type LogColumn =
  | 'reason'
  | 'carrier_status'
  | 'submitted_at'
  | 'closed_at'
  | 'chunk_id'
  | 'requeued_at'
  | 'parts_delivered'

/** The columns that a receipt sets: a delivered text has no reason, and a failed one no further delivered parts. */
const arrived = ['parts_delivered', 'carrier_status', 'closed_at'] as const
const failed = ['reason', 'carrier_status', 'closed_at'] as const

/** All state changes of log rows. No statement may assign a state that is not in this table. */
export const transitions = {
  // the row is written, by an expansion or together with its message
  enqueue: { from: null, to: 'queued', by: ['api', 'worker', 'gateway'], sets: [] },
  exclude: { from: null, to: 'suppressed', by: ['worker'], sets: ['reason', 'closed_at'] },

  // the mark before a submit_sm; it rechecks consent, the deadline and the message's status
  submit: { from: 'queued', to: 'submitting', by: ['gateway'], sets: ['submitted_at'] },
  suppressAtMark: { from: 'queued', to: 'suppressed', by: ['gateway'], sets: ['reason', 'closed_at'] },
  cancelAtMark: { from: 'queued', to: 'cancelled', by: ['gateway'], sets: ['closed_at'] },

  // the PDU was not written, or the carrier rejected it temporarily
  unmark: { from: 'submitting', to: 'queued', by: ['gateway'], sets: ['submitted_at'] },
  retryLater: { from: 'submitting', to: 'queued', by: ['gateway'], sets: ['submitted_at', 'chunk_id'] },

  // the response, or its absence
  accept: { from: 'submitting', to: 'sent', by: ['gateway'], sets: [] },
  acceptLate: { from: 'unknown', to: 'sent', by: ['gateway'], sets: ['carrier_status'] },
  reject: { from: 'submitting', to: 'bounced', by: ['gateway'], sets: ['reason', 'carrier_status', 'closed_at'] },
  loseResponse: { from: 'submitting', to: 'unknown', by: ['gateway'], sets: ['carrier_status'] },
  abandon: { from: 'submitting', to: 'unknown', by: ['gateway'], sets: ['carrier_status'] },

  // the receipt; it also settles a row whose response was lost, and one that was requeued for that reason
  deliver: { from: 'sent', to: 'delivered', by: ['gateway'], sets: arrived },
  bounce: { from: 'sent', to: 'bounced', by: ['gateway'], sets: failed },
  expire: { from: 'sent', to: 'expired', by: ['gateway'], sets: failed },
  deliverUnknown: { from: 'unknown', to: 'delivered', by: ['gateway'], sets: arrived },
  bounceUnknown: { from: 'unknown', to: 'bounced', by: ['gateway'], sets: failed },
  expireUnknown: { from: 'unknown', to: 'expired', by: ['gateway'], sets: failed },
  deliverQueued: { from: 'queued', to: 'delivered', by: ['gateway'], sets: arrived },
  bounceQueued: { from: 'queued', to: 'bounced', by: ['gateway'], sets: failed },
  expireQueued: { from: 'queued', to: 'expired', by: ['gateway'], sets: failed },

  // decisions about queued rows
  optOut: { from: 'queued', to: 'suppressed', by: ['api', 'gateway', 'worker'], sets: ['reason', 'closed_at'] },
  suppress: { from: 'queued', to: 'suppressed', by: ['worker'], sets: ['reason', 'closed_at'] },
  cancel: { from: 'queued', to: 'cancelled', by: ['worker'], sets: ['closed_at'] },

  // the receipt deadline
  close: { from: 'sent', to: 'expired', by: ['worker'], sets: ['reason', 'closed_at'] },
  requeue: {
    from: 'unknown',
    to: 'queued',
    by: ['worker'],
    sets: ['requeued_at', 'submitted_at', 'carrier_status'],
  },
} as const satisfies Record<string, Transition>

export type TransitionName = keyof typeof transitions

/** Returns the old state of a transition as an SQL literal; throws if the transition inserts rows. */
export function from(name: TransitionName): Sql {
  const state = transitions[name].from
  if (state === null) throw new Error(`${name} has no old state`)
  return raw(`'${state}'`)
}

/** Returns the new state of a transition as an SQL literal. */
export function to(name: TransitionName): Sql {
  return raw(`'${transitions[name].to}'`)
}
