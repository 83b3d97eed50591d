import type { LookUp } from '../carriers/look-up.ts'
import type { LookUpResult } from '../carriers/look-up-provider.ts'
import { listCustomFields } from '../custom-fields/custom-fields.queries.ts'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { errors } from '../errors.ts'
import type { List } from '../lists/lists.queries.ts'
import { sendSystemText } from '../messages/messages.ts'
import type { Runtime } from '../runtime.ts'
import {
  findSubscriber,
  findSubscriberForUpdate,
  type Profile,
  updateProfile,
} from '../subscribers/subscribers.queries.ts'
import type { Subscriber } from '../subscribers/subscribers.sql.ts'
import { type Block, findBlockForUpdate, liftBlock } from './blocks.queries.ts'
import {
  insertSubscriber,
  insertUnblockedSubscriber,
  moveSubscriber,
  type OptIn,
  updateCarrier,
} from './subscribe.queries.ts'

const hourMs = 3_600_000

export type AddInput = {
  list: List
  phone: number
  profile: Profile
  /** Whether to subscribe without double opt-in, because the caller has the person's consent. */
  bypassProcess: boolean
  /** Whether to send no welcome text; a blocked number is subscribed without double opt-in only with both flags. */
  bypassResponse: boolean
  /** The result of the number's look-up. */
  lookUp?: LookUpResult | undefined
  actor: string
  /** The API key that adds the number, if one does. */
  apiKeyId?: number
}

export type AddResult =
  | {
      outcome: 'confirmation_sent' | 'pending' | 'already_asked' | 'welcomed' | 'added' | 'already_subscribed'
      subscriber: Subscriber
    }
  | { outcome: 'security_timeout'; waitMs: number; subscriber: Subscriber }

type Outcome =
  | { outcome: Exclude<AddResult['outcome'], 'security_timeout'> }
  | { outcome: 'security_timeout'; waitMs: number }

/**
 * Adds a number to a list: sends it the opt-in request, or subscribes it directly if the caller has its consent. A
 * number that is subscribed, or that received a request or opted out recently, stays unchanged, including its profile.
 * A number that sent STOP to the list's short code recently is not added to any of its lists; later, an add with both
 * bypass flags lifts the block, and any other add makes the number pending without a text.
 */
export async function addSubscriber(rt: Runtime, input: AddInput): Promise<AddResult> {
  const isPlain = isPlainAdd(input)
  if (isPlain) {
    const optIn = optInOf(input, { isDirect: true, isBlocked: false, now: rt.clock.now() })
    const subscriber = await retryLostRaces(() => insertUnblockedSubscriber(rt.db, optIn, input.list.shortCodeId))
    if (subscriber) return { outcome: 'added', subscriber }
  }
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const block = await findBlockForUpdate(tx, input.list.shortCodeId, input.phone)
      const { current, ...outcome } = await applyAdd(rt, tx, input, { block, isLikelyKnown: isPlain })
      const subscriber =
        current ??
        (await findSubscriber(tx, input.list.id, input.phone)) ??
        (block && (await blockedStranger(tx, input, block)))
      if (!subscriber) throw new Error('the added subscriber was not found')
      return { ...outcome, subscriber }
    }),
  )
}

/**
 * Returns whether the add of a new number writes nothing but its opt-in, which one statement does: a transaction takes three
 * more round trips, half of the CPU time of such an add.
 */
function isPlainAdd(input: AddInput): boolean {
  return input.bypassProcess && welcomeOf(input, undefined) === '' && !hasCarrier(input) && !hasProfile(input)
}

const hasCarrier = ({ lookUp }: AddInput) => Boolean(lookUp?.carrier || lookUp?.globalCarrierId)

const hasProfile = ({ profile }: AddInput) => Object.values(profile).some((field) => field !== undefined)

function optInOf(
  { list, phone, actor, apiKeyId }: AddInput,
  { isDirect, isBlocked, now }: { isDirect: boolean; isBlocked: boolean; now: Date },
): OptIn {
  return {
    accountId: list.accountId,
    listId: list.id,
    phone,
    state: isDirect ? 'subscribed' : 'pending',
    method: 'api',
    // a blocked number gets no text, not even the request
    wording: isDirect || isBlocked ? null : confirmationOf(list),
    actor,
    apiKeyId,
    now,
  }
}

type Applied = Outcome & {
  /** The subscriber, if it is known without another read. */
  current?: Subscriber | undefined
}

type AddState = {
  block: Block | undefined
  /** Whether an insert has just found the number on the list, or blocked. */
  isLikelyKnown: boolean
}

async function applyAdd(rt: Runtime, tx: Db, input: AddInput, { block, isLikelyKnown }: AddState): Promise<Applied> {
  const { list, phone } = input
  const now = rt.clock.now()
  const waitMs = block ? remainingMs(block.timeoutHours * hourMs, block.since, now) : 0
  if (waitMs > 0) return { outcome: 'security_timeout', waitMs }
  const isBlocked = block !== undefined
  const isDirect = input.bypassProcess && (!isBlocked || input.bypassResponse)
  const optIn = optInOf(input, { isDirect, isBlocked, now })

  // The unique key decides between concurrent adds of a new number. The second one finds the row of the first, locked
  // until its text is recorded.
  const found = isLikelyKnown ? await findSubscriberForUpdate(tx, list.id, phone) : undefined
  const added = found ? undefined : await insertSubscriber(tx, optIn)
  const known = added ? undefined : (found ?? (await findSubscriberForUpdate(tx, list.id, phone)))
  if (known) {
    const reason = reasonToSkip(known, input, { isDirect, isBlocked, now })
    if (reason) return { ...reason, current: known }
    await moveSubscriber(tx, optIn)
  }
  if (block && isDirect) {
    const { accountId, shortCodeId } = list
    await liftBlock(tx, { accountId, shortCodeId, phone, method: 'api', wording: null, actor: input.actor, at: now })
  }
  if (hasCarrier(input) && input.lookUp) await updateCarrier(tx, list.id, phone, input.lookUp, now)
  if (hasProfile(input)) await updateProfile(tx, list.id, phone, input.profile, now)

  const text = isDirect ? welcomeOf(input, known) : (optIn.wording ?? '')
  if (text !== '') {
    const { accountId, shortCodeId } = list
    await sendSystemText(tx, rt, {
      accountId,
      listId: list.id,
      shortCodeId,
      phone,
      content: text,
      consent: 'not_opted_out',
    })
  }
  if (!isDirect) return { outcome: block ? 'pending' : 'confirmation_sent' }
  if (text !== '') return { outcome: 'welcomed' }
  return { outcome: 'added', current: hasProfile(input) || hasCarrier(input) ? undefined : added }
}

/** Returns the reason why a known number stays unchanged; undefined if the add applies. */
function reasonToSkip(
  known: Subscriber,
  { list }: AddInput,
  { isDirect, isBlocked, now }: { isDirect: boolean; isBlocked: boolean; now: Date },
): Outcome | undefined {
  // a number of a list that moved to the short code can be subscribed and blocked there; its texts are suppressed
  if (known.state === 'subscribed') return isBlocked && isDirect ? undefined : { outcome: 'already_subscribed' }
  if (known.state === 'pending') {
    const wasAsked = !isDirect && remainingMs(list.resendBlockHours * hourMs, known.optInRequestedAt, now) > 0
    return wasAsked ? { outcome: 'already_asked' } : undefined
  }
  const waitMs = remainingMs(list.resubscribeTimeoutHours * hourMs, known.optedOutAt, now)
  return waitMs > 0 ? { outcome: 'security_timeout', waitMs } : undefined
}

/** Returns a blocked number that is not on the list as a subscriber for the response; nothing is stored. */
async function blockedStranger(tx: Db, { list, phone }: AddInput, { since }: Block): Promise<Subscriber> {
  const none = { gender: null, carrier: 0, carrierName: null, globalCarrierId: null, globalCarrierName: null }
  const noOptIn = { optInMethod: null, apiSource: null, keywordName: null, subscribedAt: null, optInRequestedAt: null }
  return {
    listId: list.id,
    phone,
    state: 'unsubscribed',
    firstName: '',
    lastName: '',
    email: '',
    zipCode: '',
    birthdate: '',
    tags: [],
    ...none,
    ...noOptIn,
    optedOutAt: since,
    cleanedAt: null,
    customValues: {},
    customFields: await listCustomFields(tx, list.id),
  }
}

function remainingMs(durationMs: number, since: Date | null, now: Date): number {
  return since === null ? 0 : since.getTime() + durationMs - now.getTime()
}

function confirmationOf({ name, messageYes }: List): string {
  return messageYes || `${name}: reply YES to get our texts. Msg & data rates may apply. HELP for help, STOP to quit.`
}

/** Returns the list's welcome text, with a different one for numbers that were subscribed before; empty for none. */
function welcomeOf({ list, bypassResponse }: AddInput, known: Subscriber | undefined): string {
  if (bypassResponse || list.bypassOptInResponse) return ''
  return known?.subscribedAt ? list.secondOptinMessage : list.firstOptinMessage
}

/** Looks up a number for an account; throws if it is a landline or unreachable. */
export async function lookUpReachable(
  lookUp: LookUp,
  phone: number,
  accountId: number,
): Promise<LookUpResult | undefined> {
  const result = await lookUp(phone, accountId)
  if (result?.kind === 'landline' || result?.kind === 'unreachable') {
    throw errors.badPhone('landline or unreachable carrier')
  }
  return result
}
