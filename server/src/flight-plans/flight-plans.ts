import { type AudienceRead, readAudienceSlice } from '../broadcasts/personal-slice.queries.ts'
import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { enqueue } from '../jobs/jobs.ts'
import { utcDay } from '../lib/clock.ts'
import { refuseContent } from '../messages/content/content.ts'
import { readPersonalText } from '../messages/content/personal-text.ts'
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

// What sending a message would come to. It is reckoned over the real list, each recipient's text as an expansion would
// write it, in a job: a list of a million takes some seconds.

type Rt = Pick<Runtime, 'db' | 'clock'>

export const computeJob = 'flight-plans.compute'

const pendingAtOnce = 5
/** Far below the second that no statement may exceed. */
const sliceRows = 10_000

/** Asks for the flight plan of a text. When this returns it will be reckoned, whatever crashes. */
export function requestFlightPlan(rt: Rt, plan: NewFlightPlan): Promise<FlightPlan> {
  return rt.db.tx(async (tx) => {
    await refuseContent(tx, plan.listId, plan.content, plan.maxParts)
    if ((await countPending(tx, plan.accountId)) >= pendingAtOnce) throw errors.tooManyFlightPlans(pendingAtOnce)
    const ordered = await insertFlightPlan(tx, plan, rt.clock.now())
    await enqueue(tx, computeJob, { flightPlanId: ordered.id })
    return ordered
  })
}

/** The list's flight plan of this id. */
export async function getFlightPlan(db: Db, listId: number, id: number): Promise<FlightPlan> {
  const plan = await findFlightPlan(db, listId, id)
  if (!plan) throw errors.flightPlanNotFound()
  return plan
}

/** Reckons a flight plan, if that is still to be done. Twice at once is harmless: the first to end writes the result. */
export async function computeFlightPlan(rt: Rt, id: number, signal: AbortSignal): Promise<void> {
  const { db } = rt
  const plan = await findPending(db, id)
  if (!plan) return
  const totals = newTotals()
  const now = plan.createdAt
  const text = await readPersonalText(db, plan.listId, plan.content)
  const timing = await readTiming(db, plan)
  const rules = await rulesOf(db, timing)
  const adder = new TotalsCounter(totals, {
    maxParts: plan.maxParts,
    textFor: text?.textFor ?? (() => plan.content),
    now,
    sendAt: plan.sendAt,
    deliverBy: timing.deliverBy,
    opensAt: rules ? { now: askedAt(rules, now), atSendAt: askedAt(rules, plan.sendAt ?? now) } : null,
  })
  const slice = {
    listId: plan.listId,
    audience: plan.audience,
    audienceAt: now,
    fieldKeys: text?.fieldKeys ?? [],
    withCarriers: true,
    rows: sliceRows,
  }
  for (let cursorPhone: number | null = 0; cursorPhone !== null; ) {
    signal.throwIfAborted()
    const after = cursorPhone
    const read: AudienceRead = await db.tx(async (tx) => {
      await findByKeys(tx)
      return readAudienceSlice(tx, { ...slice, cursorPhone: after })
    })
    for (const person of read.people) adder.add(person)
    cursorPhone = read.ended ? null : read.lastPhone
  }
  const cost = await priceParts(db, plan.accountId, utcDay(plan.sendAt ?? now), partsByCarrier(totals))
  const result = resultOf(totals, plan.content, await findSendingCapacity(db, plan.listId), cost)
  await finishFlightPlan(db, id, result, rt.clock.now())
}

/** Windows as they are at a moment. What was found for a place is kept with the rules, so each moment has its own. */
function askedAt(rules: WindowRules, at: Date): OpensAt {
  const own = { ...rules }
  return (person) => findWindow(person, own, at)?.opensAt
}

/** What the message says of times, or, of a text that is none yet, what its list does. */
async function readTiming(db: Db, { listId, messageId }: FlightPlan) {
  const own = messageId === null ? undefined : (await readTimings(db, [messageId])).get(messageId)
  return own ?? readTimingOfList(db, listId)
}
