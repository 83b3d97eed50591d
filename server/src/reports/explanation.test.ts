import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
import { cancelMessage } from '../messages/stop/cancel.ts'
import { explain } from './explanation.ts'
import type { Step } from './explanation-trail.ts'

const events = (trail: Step[]) => trail.map(({ event }) => event)

describe('the API explains', () => {
  const api = useApi()
  const phone = 2065550143

  async function broadcastTo(subscribed: number[]) {
    const { accountId, shortCode } = api.owner
    const list = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
    for (const each of subscribed) await make.subscriber(api.db, { listId: list.id, phone: each })
    const input = { accountId, list: { id: list.id, shortCodeId: shortCode.id }, content: 'Doors at seven' }
    const { id } = await acceptBroadcast(api.rt, input)
    const path = `/lists/${list.id}/messages/${id}/recipients`
    return { listId: list.id, id, path }
  }

  test('a queued text, and a number that the broadcast was not sent to', async () => {
    const { path } = await broadcastTo([phone])
    const early = await api.owner.get(`${path}/${phone}`)
    expect(early.body.recipient).toMatchObject({ state: 'not_chosen', reason: 'not_on_list' })
    while (await expandOnce(api.rt)) {}
    const { status, body } = await api.owner.get(`${path}/206-555-0143`)
    expect(status).toBe(200)
    expect(body.recipient).toMatchObject({
      phone_number: '2065550143',
      state: 'queued',
      content: 'Doors at seven',
      part_count: 1,
      summary: 'It is queued.',
    })
    const other = await api.owner.get(`${path}/2065550199`)
    expect(other.body.recipient).toMatchObject({
      state: 'not_chosen',
      reason: 'not_on_list',
      summary: 'The number was not on the list.',
    })
  })

  test('when and how a number opted out before the message', async () => {
    const { accountId, shortCode } = api.owner
    const list = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
    const subscriber = await api.owner.post(`/lists/${list.id}/subscribers`, {
      subscriber: { phone_number: '2065550143' },
      bypass_opt_in_response: true,
    })
    expect(subscriber.status).toBeLessThan(300)
    expect((await api.owner.delete(`/lists/${list.id}/subscribers/2065550143`)).status).toBe(200)
    const { id } = await acceptBroadcast(api.rt, {
      accountId,
      list: { id: list.id, shortCodeId: shortCode.id },
      content: 'Doors at seven',
    })
    while (await expandOnce(api.rt)) {}
    const { body } = await api.owner.get(`/lists/${list.id}/messages/${id}/recipients/2065550143`)
    expect(body.recipient).toMatchObject({ state: 'not_chosen', reason: 'opted_out' })
    const { trail } = body.recipient as { trail: Step[] }
    expect(trail.map(({ detail }) => detail)).toContain('Opted out (by api)')
  })

  test("that the audience of a local time is determined at its start, hours before the account's time", async () => {
    const { listId, id, path } = await broadcastTo([])
    const at = (time: string) => new Date(`2031-05-06T${time}Z`)
    await api.db.exec('set_start', 'update messages set starts_at = $2, send_at = $3, accepted_at = $2 where id = $1', [
      id,
      at('09:00'),
      at('12:00'),
    ])
    await api.db.exec(
      'opt_in_after_start',
      `insert into opts (account_id, list_id, phone, kind, method, actor, created_at) values ($1, $2, $3, 'opt_in', 'api', 'key:1', $4)`,
      [api.owner.accountId, listId, phone, at('10:00')],
    )
    expect((await api.owner.get(`${path}/${phone}`)).body.recipient).toMatchObject({ reason: 'joined_later' })
  })

  test('that a message was cancelled before its audience was expanded', async () => {
    const { listId, id, path } = await broadcastTo([])
    await api.db.exec(
      'opt_in_before_start',
      `insert into opts (account_id, list_id, phone, kind, method, actor, created_at) values ($1, $2, $3, 'opt_in', 'api', 'key:1', $4)`,
      [api.owner.accountId, listId, phone, new Date('2020-05-06T10:00Z')],
    )
    const reason = async () => (await api.owner.get(`${path}/${phone}`)).body.recipient
    expect(await reason()).toMatchObject({ reason: 'not_written_yet' })
    await cancelMessage(api.rt, listId, id)
    expect(await reason()).toMatchObject({ state: 'not_chosen', reason: 'cancelled' })
  })

  test('that a draft has no audience yet', async () => {
    const list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
    const made = await api.owner.post(`/lists/${list.id}/messages`, { message: { content: 'Soon', draft: true } })
    const { id } = made.body.message as { id: number }
    const { body } = await api.owner.get(`/lists/${list.id}/messages/${id}/recipients/2065550143`)
    expect(body.recipient).toMatchObject({ state: 'not_chosen', reason: 'not_started' })
  })

  test('a transactional text, but not to another account or for a number that is not a recipient', async () => {
    const { accountId, shortCode } = api.owner
    const text = { accountId, listId: null, shortCodeId: shortCode.id, content: 'Your table is ready' }
    const { id } = await sendToNumbers(api.rt, { ...text, phones: [phone], field: 'number' })
    const path = `/transactional_messages/${id}/recipients`
    expect((await api.owner.get(`${path}/${phone}`)).body.recipient).toMatchObject({ state: 'queued' })
    expect((await api.owner.get(`${path}/2065550199`)).body).toMatchObject({ code: 'recipient_not_found' })
    expect((await api.stranger.get(`${path}/${phone}`)).status).toBe(404)
    expect((await api.owner.get(`${path}/12`)).body).toMatchObject({ code: 'recipient_not_found' })
  })
})

describe('explains a text that was', () => {
  let sending: Awaited<ReturnType<typeof startSending>>
  const [delivered, dead, rejected, optedOut] = [2065550142, 2065550101, 2065550110, 2065550144]
  let messageId: number
  const explained = (phone: number) =>
    explain(sending.db, { accountId: sending.list.accountId, listId: sending.list.id, messageId, phone })

  beforeAll(async () => {
    sending = await startSending()
    await sending.subscribe(delivered, dead, rejected, optedOut)
    messageId = await sending.broadcast()
    await sending.waitForCounters(messageId, { queued: 4 })
    await sending.db.exec(
      'opt_out',
      `update subscribers set state = 'unsubscribed', opted_out_at = now() where list_id = $1 and phone = $2`,
      [sending.list.id, optedOut],
    )
    await sending.startGateway()
    await sending.waitForCounters(messageId, { delivered: 1, bounced: 2, suppressed: 1 })
  })
  afterAll(() => sending.stop())

  test('delivered, with connection, time, id and receipt', async () => {
    const explanation = await explained(delivered)
    expect(explanation).toMatchObject({
      state: 'delivered',
      carrierStatus: 'DELIVRD 000',
      summary: 'Delivered (DELIVRD 000).',
    })
    expect(events(explanation.trail).slice(-4)).toEqual(['accepted', 'chosen', 'submitted', 'receipt'])
    const submitted = explanation.trail.find(({ event }) => event === 'submitted')
    expect(submitted).toMatchObject({ connection: 'default', commandStatus: 'ESME_ROK', smscId: expect.any(String) })
    const raw = sending.raw().find(({ destination }) => destination === `1${delivered}`)
    expect(Math.abs(Number(submitted?.at) - Number(raw?.time))).toBeLessThan(60_000)
    expect(submitted?.responseMs).toBeGreaterThanOrEqual(0)
  })

  test('bounced, by a receipt or by a rejected submit', async () => {
    const byReceipt = await explained(dead)
    expect(byReceipt.summary).toBe('It bounced (UNDELIV 001): the number is dead.')
    expect(events(byReceipt.trail)).toContain('receipt')
    const bySubmit = await explained(rejected)
    expect(bySubmit.summary).toBe('It bounced (ESME_RINVDSTADR): the number is dead.')
    // attempts are stored shortly after the text is closed
    const tried = await waitFor(
      async () => (await explained(rejected)).trail.find(({ event }) => event === 'attempt_failed'),
      {
        timeoutMs: 5_000,
        what: 'the explained attempt',
      },
    )
    expect(tried).toMatchObject({ part: 1, connection: 'default', commandStatus: 'ESME_RINVDSTADR' })
    expect(tried?.at).toBeInstanceOf(Date)
  })

  test('suppressed because of an opt-out before it was sent', async () => {
    const explanation = await explained(optedOut)
    expect(explanation.summary).toMatch(/^It was not sent: /)
    expect(events(explanation.trail)).toContain('suppressed')
    expect(explanation.trail.at(-1)?.event).toBe('suppressed')
  })

  test('throttled first and accepted later, with each attempt', async () => {
    const throttled = 2065550104
    await sending.subscribe(throttled)
    const id = await sending.broadcast('The pantry opens at ten.')
    const explanation = await waitFor(
      async () => {
        const found = await explain(sending.db, {
          accountId: sending.list.accountId,
          listId: sending.list.id,
          messageId: id,
          phone: throttled,
        })
        return found.state === 'delivered' ? found : undefined
      },
      { timeoutMs: 15_000, what: 'a throttled text to be delivered' },
    )
    const tries = explanation.trail.filter(({ event }) => event === 'attempt_failed')
    expect(tries.map(({ commandStatus }) => commandStatus)).toEqual(['ESME_RTHROTTLED', 'ESME_RTHROTTLED'])
  })
})
