import { afterEach, describe, expect, test } from 'vitest'
import { type ApiResponse, useApi } from '../../test/api.ts'
import { getList } from '../lists/lists.ts'
import { addSubscriber } from './subscribe.ts'

// Adding a number: what its look-up stores, and requests that are rejected.

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

afterEach(() => {
  clock.time = start
})

const phone = '2065550143'

type ListRow = { id: number }
async function newList(texts: object = {}): Promise<ListRow> {
  const response = await api.owner.post('/lists', { list: { name: 'Pantry', ...texts } })
  return response.body.list as ListRow
}

function add(list: ListRow, subscriber: object = {}): Promise<ApiResponse> {
  return api.owner.post(`/lists/${list.id}/subscribers`, { subscriber: { phone_number: phone, ...subscriber } })
}

function ledgerOf(list: ListRow) {
  return api.db.many<{ kind: string; method: string; actor: string; wording: string | null }>(
    'read_ledger',
    'select kind, method, actor, wording from opts where list_id = $1 order by phone, id',
    [list.id],
  )
}

describe('the carrier in the look-up', () => {
  const lookUp = {
    kind: 'mobile',
    carrier: 77,
    carrierName: 'Verizon',
    ported: true,
    globalCarrierId: '100313',
    globalCarrierName: 'Verizon Wireless',
  } as const
  const shown = {
    carrier: 77,
    carrier_name: 'Verizon',
    global_carrier_id: '100313',
    global_carrier_name: 'Verizon Wireless',
  }

  async function addWith(list: ListRow, given: Partial<typeof lookUp> | undefined) {
    await addSubscriber(api.rt, {
      list: await getList(api.db, api.owner.accountId, list.id),
      phone: Number(phone),
      profile: {},
      bypassProcess: true,
      bypassResponse: true,
      lookUp: given && { ...lookUp, ...given },
      actor: 'key:1',
    })
    return (await api.owner.get(`/lists/${list.id}/subscribers/${phone}`)).body.subscriber
  }

  test('is stored with a new number and with one that is added again', async () => {
    const list = await newList()
    expect(await addWith(list, lookUp)).toMatchObject(shown)
    await api.db.exec('clean', `update subscribers set state = 'cleaned', carrier = 1 where list_id = $1`, [list.id])
    expect(await addWith(list, undefined)).toMatchObject({ ...shown, carrier: 1 })
    await api.db.exec('clean', `update subscribers set state = 'cleaned', carrier = 1 where list_id = $1`, [list.id])
    expect(await addWith(list, lookUp)).toMatchObject(shown)
  })

  test('is not stored with a subscribed number', async () => {
    const list = await newList()
    await addWith(list, undefined)
    expect(await addWith(list, lookUp)).toMatchObject({ carrier: 0, carrier_name: null, global_carrier_id: null })
  })
})

describe('the request is rejected', () => {
  test('for a landline of the sandbox', async () => {
    const list = await newList()
    const response = await add(list, { phone_number: '2065550100' })
    expect(response).toMatchObject({
      status: 422,
      body: { status: 'error', error: 'Bad phone number: landline or unreachable carrier', code: 'bad_phone_number' },
    })
    expect(await ledgerOf(list)).toEqual([])
  })

  test.each(['', '206555014', '22065550143', '1065550143', 'abcdefghij', 206555014, '2065550143x'])(
    'for the number %j',
    async (phone_number) => {
      expect(await add(await newList(), { phone_number })).toMatchObject({
        status: 422,
        body: { error: expect.stringMatching(/^Bad phone number: /) },
      })
    },
  )

  test.each([
    ['no number', { phone_number: undefined }, "Phone number can't be blank"],
    ['a null number', { phone_number: null }, 'Phone number must be a string or an integer'],
    ['an array as the number', { phone_number: ['2065550143'] }, 'Phone number must be a string or an integer'],
    ['a long name', { first_name: 'a'.repeat(51) }, 'First name is too long (maximum is 50 characters)'],
    ['a long zip code', { zip_code: '1234567' }, 'Zip code is too long (maximum is 6 characters)'],
    ['an unknown gender', { gender: 'unicorn' }, 'Gender is not included in the list'],
    ['a date that does not exist', { birthdate: '19910231' }, 'Birthdate is invalid'],
    ['a date with two meanings', { birthdate: '2/3/91' }, 'Birthdate is invalid'],
    ['a part of a ZIP+4', { zip_code: '98101-12' }, 'Zip code is too long (maximum is 6 characters)'],
    ['a date without a century', { birthdate: '910217' }, 'Birthdate is invalid'],
    ['an object as the name', { last_name: {} }, 'Last name must be a string or null'],
    ['a NUL character', { first_name: 'a\0b' }, 'First name contains a NUL character'],
    ['a long tag', { tags: 'a'.repeat(256) }, 'Tags is too long (maximum is 255 characters)'],
    ['numbers as tags', { tags: [1, 2] }, 'Tags must be a string'],
  ])('for %s', async (_case, subscriber, error) => {
    const list = await newList()
    const response = await add(list, subscriber)
    expect(response.status).toBe(422)
    expect(response.body.error).toBe(`Validation failed: ${error}`)
    expect(await ledgerOf(list)).toEqual([])
  })

  test("on another account's list", async () => {
    const list = await newList()
    const response = await api.stranger.post(`/lists/${list.id}/subscribers`, { subscriber: { phone_number: phone } })
    expect(response).toMatchObject({ status: 404, body: { error: 'List not found' } })
    expect(await ledgerOf(list)).toEqual([])
  })
})
