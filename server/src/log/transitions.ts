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

export type Transition = {
  /** Null: the row is inserted, and counted in the audience. */
  from: State | null
  to: State
  /** The columns of message_log that change together with the state. */
  sets: readonly LogColumn[]
}

export type LogColumn =
  | 'reason'
  | 'carrier_status'
  | 'submitted_at'
  | 'closed_at'
  | 'chunk_id'
  | 'again_at'
  | 'parts_delivered'

/** What a receipt sets: a text that arrived has no reason, and one that failed has no further delivered parts. */
const arrived = ['parts_delivered', 'carrier_status', 'closed_at'] as const
const failed = ['reason', 'carrier_status', 'closed_at'] as const

/** Every way in which a log row gets or changes its state. No statement may assign a state that is not in this table. */
export const transitions = {
  // the audience is written, by an expansion or with the message itself
  enqueue: { from: null, to: 'queued', sets: [] },
  exclude: { from: null, to: 'suppressed', sets: ['reason', 'closed_at'] },

  // the mark before a submit_sm; it rechecks consent, the deadline and the message's status
  submit: { from: 'queued', to: 'submitting', sets: ['submitted_at'] },
  suppressAtMark: { from: 'queued', to: 'suppressed', sets: ['reason', 'closed_at'] },
  cancelAtMark: { from: 'queued', to: 'cancelled', sets: ['closed_at'] },

  // the PDU was not written, or the carrier rejected it for now
  unmark: { from: 'submitting', to: 'queued', sets: ['submitted_at'] },
  retryLater: { from: 'submitting', to: 'queued', sets: ['submitted_at', 'chunk_id'] },

  // the response, or its absence
  accept: { from: 'submitting', to: 'sent', sets: [] },
  acceptLate: { from: 'unknown', to: 'sent', sets: ['carrier_status'] },
  reject: { from: 'submitting', to: 'bounced', sets: ['reason', 'carrier_status', 'closed_at'] },
  giveUp: { from: 'submitting', to: 'unknown', sets: ['carrier_status'] },
  abandon: { from: 'submitting', to: 'unknown', sets: ['carrier_status'] },

  // the receipt; it also settles a row whose response was lost, and one that was queued again because of that
  deliver: { from: 'sent', to: 'delivered', sets: arrived },
  bounce: { from: 'sent', to: 'bounced', sets: failed },
  expire: { from: 'sent', to: 'expired', sets: failed },
  deliverUnknown: { from: 'unknown', to: 'delivered', sets: arrived },
  bounceUnknown: { from: 'unknown', to: 'bounced', sets: failed },
  expireUnknown: { from: 'unknown', to: 'expired', sets: failed },
  deliverQueued: { from: 'queued', to: 'delivered', sets: arrived },
  bounceQueued: { from: 'queued', to: 'bounced', sets: failed },
  expireQueued: { from: 'queued', to: 'expired', sets: failed },

  // decisions about rows that wait
  optOut: { from: 'queued', to: 'suppressed', sets: ['reason', 'closed_at'] },
  suppress: { from: 'queued', to: 'suppressed', sets: ['reason', 'closed_at'] },
  cancel: { from: 'queued', to: 'cancelled', sets: ['closed_at'] },

  // the receipt deadline
  close: { from: 'sent', to: 'expired', sets: ['reason', 'closed_at'] },
  requeue: {
    from: 'unknown',
    to: 'queued',

    sets: ['again_at', 'submitted_at', 'carrier_status'],
  },
} as const satisfies Record<string, Transition>

export type TransitionName = keyof typeof transitions

/** The state, as an SQL literal, that a row of this transition comes from; throws for one that inserts rows. */
export function from(name: TransitionName): string {
  const state = transitions[name].from
  if (state === null) throw new Error(`${name} has no state to come from`)
  return `'${state}'`
}

/** The state, as an SQL literal, that a row of this transition gets. */
export function to(name: TransitionName): string {
  return `'${transitions[name].to}'`
}
