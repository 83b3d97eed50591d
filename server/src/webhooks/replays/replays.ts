import { rejectAtCap } from '../../accounts/caps.ts'
import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { announceWork, type DoneSlice } from '../../jobs/turns.ts'
import type { Runtime } from '../../runtime.ts'
import { requeueDeliveries } from '../delivery/requeue.queries.ts'
import { getWebhook } from '../webhooks.ts'
import {
  countOpenReplays,
  type Ended,
  findAttemptedEvent,
  findReplay,
  findReplayable,
  insertReplay,
  moveReplay,
  type OpenReplay,
  type Replay,
  type ReplayScope,
  scanEvents,
  scanFailures,
} from './replays.queries.ts'

export const applyReplaysJob = 'webhooks.replay'

/** Maximum number of deliveries that one replay queues. */
export const maxReplayed = 10_000

/** Maximum number of events or attempts that one slice reads. */
export const sliceRows = 1_000

const dayMs = 86_400_000

/** Events are not replayed in the last minutes before they are deleted, so that no delivery remains without its event. */
const marginMs = 10 * 60_000

/** The events of a replay: one event, a range, which may be open at its end, or the failures since a time. */
export type ReplayRequest =
  | { position: number }
  | { fromPosition: number; toPosition: number | null }
  | { failedSince: Date }

type Path = { accountId: number; listId: number; webhookId: number }
type Rt = Pick<Runtime, 'db' | 'clock' | 'config'>

/**
 * Queues a replay of events to the account's webhook and returns it. Throws a 410 for deleted events, a 422 for events that do not
 * exist or that the webhook does not receive, if it is disabled, or if the account has too many open replays, and the errors of
 * `getWebhook`.
 */
export async function requestReplay(rt: Rt, path: Path, request: ReplayRequest): Promise<Replay> {
  const { accountId, listId, webhookId } = path
  return rt.db.tx(async (tx) => {
    await getWebhook(tx, accountId, listId, webhookId)
    const { endpointId, scope } = await validateRequest(tx, rt, webhookId, request)
    await rejectAtCap(tx, rt, { name: 'open_replays', accountId }, () => countOpenReplays(tx, accountId))
    const replay = await insertReplay(tx, accountId, endpointId, scope, rt.clock.now())
    await announceWork(tx, applyReplaysJob)
    return replay
  })
}

/** Returns a replay of the account's webhook; throws a 404 if it does not exist, and the errors of `getWebhook`. */
export async function getReplay(db: Db, { accountId, listId, webhookId }: Path, id: number): Promise<Replay> {
  await getWebhook(db, accountId, listId, webhookId)
  const replay = await findReplay(db, webhookId, id)
  if (!replay) throw errors.replayNotFound()
  return replay
}

/**
 * Queues the event of an attempt for its endpoint again, also that of a callback, and returns its position. Throws a 404 if the attempt
 * or its endpoint does not exist, a 410 if the event is deleted, and a 422 for a test or a disabled webhook.
 */
export function replayAttempt(rt: Rt, accountId: number, attemptId: number): Promise<number> {
  return rt.db.tx(async (tx) => {
    const found = await findAttemptedEvent(tx, accountId, attemptId)
    if (!found) throw errors.attemptNotFound()
    const { endpointId, position, occurredAt } = found
    if (endpointId === null) throw errors.webhookNotFound()
    if (found.isTest) throw errors.invalid({ attempt: ['is a test; send another test event'] })
    if (found.disabled) throw errors.webhookDisabled()
    if (occurredAt === null || occurredAt < oldestReplayable(rt)) {
      throw errors.eventsDeleted(Math.max(found.deleted, position) + 1)
    }
    await requeueDeliveries(tx, endpointId, [position], rt.clock.now())
    return position
  })
}

async function validateRequest(
  tx: Db,
  rt: Rt,
  webhookId: number,
  request: ReplayRequest,
): Promise<{ endpointId: number; scope: ReplayScope }> {
  const position = 'position' in request ? request.position : null
  const oldest = oldestReplayable(rt)
  const { last, deleted, disabled, endpointId, event } = await findReplayable(tx, webhookId, position, oldest)
  if (disabled) throw errors.webhookDisabled()
  if ('failedSince' in request) {
    if (request.failedSince < oldest) {
      throw errors.invalid({ 'replay.failed_since': [`must be in the last ${rt.config.eventDays} days`] })
    }
    if (request.failedSince > rt.clock.now()) {
      throw errors.invalid({ 'replay.failed_since': ['must not be in the future'] })
    }
    return { endpointId, scope: { kind: 'failures', failedSince: request.failedSince } }
  }
  const first = 'position' in request ? request.position : request.fromPosition
  if (first <= deleted) throw errors.eventsDeleted(deleted + 1)
  if ('position' in request) {
    if (!event?.received) throw errors.invalid({ 'replay.position': ['is not an event that this webhook receives'] })
    return { endpointId, scope: { kind: 'positions', fromPosition: first, toPosition: first } }
  }
  const { toPosition } = request
  if (first > last) {
    throw errors.invalid({ 'replay.from_position': [`is after the last event, which is at ${last}`] })
  }
  if (toPosition !== null && toPosition < first) {
    throw errors.invalid({ 'replay.to_position': ['must not be less than from_position'] })
  }
  if (toPosition !== null && toPosition > last) {
    throw errors.invalid({ 'replay.to_position': [`is after the last event, which is at ${last}`] })
  }
  return { endpointId, scope: { kind: 'positions', fromPosition: first, toPosition: toPosition ?? last } }
}

const oldestReplayable = ({ clock, config }: Pick<Runtime, 'clock' | 'config'>) =>
  new Date(clock.now().getTime() - config.eventDays * dayMs + marginMs)

/** Queues the next slice of a replay that the transaction has locked; its cursor commits with the slice. */
export async function applyReplaySlice(tx: Db, rt: Rt, replay: OpenReplay, limit: number): Promise<DoneSlice> {
  const now = rt.clock.now()
  const scan = replay.kind === 'positions' ? scanEvents : scanFailures
  const scanned = await scan(tx, replay, oldestReplayable(rt), limit)
  const found = scanned.filter(({ position }) => position !== null)
  // one more than allowed shows that there is more
  const beyond = found[maxReplayed - replay.replayed]
  const taken = beyond ? scanned.slice(0, scanned.indexOf(beyond)) : scanned
  const positions = [...new Set(taken.flatMap(({ position }) => position ?? []))]
  const queued = positions.length > 0 ? await requeueDeliveries(tx, replay.endpointId, positions, now) : 0
  const state: Ended['state'] | null = beyond ? 'capped' : scanned.length < limit ? 'done' : null
  const { afterPosition, afterAt, afterAttempt } = taken.at(-1) ?? replay
  const ended = state && { state, at: now }
  await moveReplay(tx, replay.id, { afterPosition, afterAt, afterAttempt, queued, ended })
  return { rows: scanned.length, ended: state !== null }
}
