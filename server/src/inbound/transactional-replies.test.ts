import { describe, expect, test } from 'vitest'
import { phone, useReplies } from '../../test/reply-world.ts'

const world = useReplies()
const { newList, reply, broadcast, payloads, replies, sendTransactional } = world

describe('a reply to a transactional message', () => {
  test('goes to its callback, in the order of the contract, and no list receives it', async () => {
    await world.db.exec(
      'look_up',
      `insert into number_look_ups (phone, kind, carrier, carrier_name, looked_up_at) values ($1, 'mobile', 77, 'Cedar', now())`,
      [phone],
    )
    await broadcast()
    const id = await sendTransactional()
    await reply('On my way')
    const events = await world.db.many('urls', 'select callback_url as url, list_id as list from event_outbox')
    expect(events).toEqual([{ url: 'https://shop.example/sms?order=7', list: null }])
    const [payload] = await payloads()
    expect(Object.entries(payload ?? {})).toEqual(
      Object.entries({
        type: 'transactional_message_reply',
        transactional_message_id: id,
        received_at: '2026-03-02T02:01:02-08:00',
        phone_number: String(phone),
        carrier: 77,
        carrier_name: 'Cedar',
        content: 'On my way',
      }),
    )
  })

  test.each(['STOP', 'HELP', 'START'])('%j is no reply to a message', async (content) => {
    await sendTransactional()
    await reply(content)
    expect(await replies()).toEqual([])
  })

  test('is to the latest one; a newer message of a list gets it, and one without a callback does not', async () => {
    await sendTransactional()
    const second = await sendTransactional()
    await reply('to the second')
    const third = await broadcast()
    await reply('to the third')
    await sendTransactional(null)
    await reply('also to the third')
    expect(await replies()).toEqual([
      [second, 'to the second', 'callback'],
      [third, 'to the third'],
      [third, 'also to the third'],
    ])
  })

  test('needs no list and no listener, and the feed receives it without a callback', async () => {
    const silent = await newList({ listeners: 0 })
    const first = await sendTransactional(undefined, silent)
    await reply('Hello', { to: silent.code })
    await world.db.exec('feed', 'update accounts set event_feed = true where id = $1', [silent.accountId])
    const second = await sendTransactional(null, silent)
    await reply('Hello', { to: silent.code })
    expect(await replies()).toEqual([first, second].map((id) => [id, 'Hello', 'callback']))
  })
})
