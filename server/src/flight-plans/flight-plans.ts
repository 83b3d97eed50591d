import { rejectAtCap } from '../accounts/caps.ts'
import { type AudienceRead, readAudienceSlice } from '../broadcasts/personal-slice.queries.ts'
import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { enqueue } from '../jobs/jobs.ts'
import { utcDay } from '../lib/clock.ts'
import { SliceSize } from '../lib/slice-size.ts'
import { Turn } from '../lib/turn.ts'
import { sampleUrl } from '../links/links.ts'
import { validateContent } from '../messages/content/content.ts'
import { readPersonalText } from '../messages/content/personal-text.ts'
import { linksIn } from '../messages/content/tracked-links.ts'
import { readTimingOfList, readTimings } from '../messages/timing/windows.queries.ts'
import { rulesOf } from '../messages/timing/windows.ts'
import { findWindow, type WindowRules } from '../quiet-hours/windows.ts'
import type { Runtime } from '../runtime.ts'
import {
  countPending,
  type FlightPlan,
  findFlightPlan,
  findPending,
  findSendingCapacity,
  finishFlightPlan,
  insertFlightPlan,
  type NewFlightPlan,
  priceParts,
} from './flight-plans.queries.ts'
import { partsByCarrier, resultOf } from './result.ts'
import { newTotals, type OpensAt, TotalsCounter } from './totals.ts'

// A flight plan forecasts the parts, price and duration of a message. A job computes it over the real list, with each
// recipient's text as an expansion would write it; a list of a million subscribers takes some seconds.

type Rt = Pick<Runtime, 'db' | 'clock'>
type Capped = Pick<Runtime, 'db' | 'clock' | 'config'>

export const computeJob = 'flight-plans.compute'

/** Maximum rows of a slice: with usual rows it takes far less than one second, the limit of a statement. */
const sliceRows = 10_000

/**
 * Inserts a flight plan and enqueues its job in one transaction, so that a crash cannot lose the job. Throws a 422 if the
 * content is invalid or the account has too many pending plans.
 */
export function requestFlightPlan(rt: Capped, plan: NewFlightPlan): Promise<FlightPlan> {
  return rt.db.tx(async (tx) => {
    await validateContent(tx, plan.listId, plan)
    const { accountId } = plan
    await rejectAtCap(tx, rt, { name: 'flight_plans', accountId }, () => countPending(tx, accountId))
    const inserted = await insertFlightPlan(tx, plan, rt.clock.now())
    await enqueue(tx, computeJob, { flightPlanId: inserted.id })
    return inserted
  })
}

/** Returns the list's flight plan with this id; throws a 404 if it does not exist. */
export async function getFlightPlan(db: Db, listId: number, id: number): Promise<FlightPlan> {
  const plan = await findFlightPlan(db, listId, id)
  if (!plan) throw errors.flightPlanNotFound()
  return plan
}

/** Computes a pending flight plan. Concurrent runs are harmless: the first one to finish stores the result. */
export async function computeFlightPlan(rt: Rt, id: number, signal: AbortSignal): Promise<void> {
  const { db } = rt
  const plan = await findPending(db, id)
  if (!plan) return
  const totals = newTotals()
  const now = plan.createdAt
  const { linkBase } = plan
  const isTracked = linkBase !== null && linksIn(plan.content).length > 0
  const text = await readPersonalText(db, plan.listId, plan, isTracked ? () => sampleUrl(linkBase) : undefined)
  const timing = await readTiming(db, plan)
  const rules = await rulesOf(db, timing)
  const counter = new TotalsCounter(totals, {
    maxParts: plan.maxParts,
    textFor: text?.textFor ?? (() => plan.content),
    now,
    sendAt: plan.sendAt,
    deliverBy: timing.deliverBy,
    opensAt: rules ? { now: opensAtFrom(rules, now), atSendAt: opensAtFrom(rules, plan.sendAt ?? now) } : null,
  })
  const slice = {
    listId: plan.listId,
    audience: plan.audience,
    audienceAt: now,
    fieldKeys: text?.fieldKeys ?? [],
    withForecast: true,
  }
  const size = new SliceSize(sliceRows)
  for (let cursorPhone: number | null = 0; cursorPhone !== null; ) {
    signal.throwIfAborted()
    const after = cursorPhone
    const startedAt = performance.now()
    let begunAt = startedAt
    const read: AudienceRead = await db.tx(async (tx) => {
      await findByKeys(tx)
      begunAt = performance.now()
      return readAudienceSlice(tx, { ...slice, rows: size.rows, cursorPhone: after })
    })
    await new Turn().forEach(read.people, (person) => counter.add(person))
    size.took(read.rows, performance.now() - startedAt, begunAt - startedAt)
    cursorPhone = read.ended ? null : read.lastPhone
  }
  const cost = await priceParts(db, plan.accountId, utcDay(plan.sendAt ?? now), partsByCarrier(totals))
  const result = resultOf(totals, plan.content, await findSendingCapacity(db, plan.listId), cost)
  await finishFlightPlan(db, id, result, rt.clock.now())
}

/** Returns a function for opening times after `at`. It copies the rules, because windows are cached per rules object. */
function opensAtFrom(rules: WindowRules, at: Date): OpensAt {
  const own = { ...rules }
  return (person) => findWindow(person, own, at)?.opensAt
}

/** Returns the timing of the message or, for a text that is not a message yet, of its list. */
async function readTiming(db: Db, { listId, messageId }: FlightPlan) {
  const own = messageId === null ? undefined : (await readTimings(db, [messageId])).get(messageId)
  return own ?? readTimingOfList(db, listId)
}
