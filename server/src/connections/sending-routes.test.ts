import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'

const api = useApi()

/** Creates a connection and returns its id. */
async function create(name = 'Cedar SMS') {
  const response = await api.owner.post('/connections', { connection: { name, host: '127.0.0.1' } })
  return (response.body.connection as { id: number }).id
}

describe('sending routes of a short code', () => {
  test('replace the previous ones and are sorted, with a cap over all connections', async () => {
    const [a, b] = [await create(), await create('Spare')]
    const path = `/shortcodes/${api.stranger.shortCode.code}/routes`
    expect((await api.owner.get(path)).body).toMatchObject({ status: 'OK', mps: null, routes: [] })
    const routes = [
      { connection_id: b, tier: 1 },
      { connection_id: a, weight: 3 },
    ]
    const shown = [
      { connection_id: a, connection_name: 'Cedar SMS', tier: 0, weight: 3 },
      { connection_id: b, connection_name: 'Spare', tier: 1, weight: 1 },
    ]
    const { code } = api.stranger.shortCode
    const expected = { status: 'OK', shortcode: code, mps: 50, routes: shown }
    expect((await api.owner.put(path, { shortcode: { routes, mps: 50 } })).body).toEqual(expected)
    expect((await api.owner.get(path)).body).toEqual(expected)
    expect((await api.owner.put(path, { shortcode: { mps: null } })).body).toEqual({ ...expected, mps: null })
    const fewer = await api.owner.put(path, { shortcode: { routes: [{ connection_id: b }] } })
    expect(fewer.body.routes).toEqual([{ ...shown[1], tier: 0 }])
  })

  test.each([
    [{ routes: [{ connection_id: 32_000 }] }, 'Routes contain connections that do not exist: 32000'],
    [{ routes: [{ connection_id: 1 }, { connection_id: 1 }] }, 'Routes must not contain connection 1 twice'],
    [{ routes: [{}] }, "can't be blank"],
    [{ routes: [{ connection_id: 1, tier: 100 }] }, 'must be less than or equal to 99'],
    [{ routes: [{ connection_id: 1, weight: 0 }] }, 'must be greater than or equal to 1'],
    [{ routes: null }, 'Routes must be an array'],
    [{ mps: 0 }, 'Mps must be greater than or equal to 1'],
  ])('are not changed by %j', async (shortcode, message) => {
    const id = await create()
    const path = `/shortcodes/${api.owner.shortCode.code}/routes`
    await api.owner.put(path, { shortcode: { mps: 7, routes: [{ connection_id: id, weight: 7 }] } })
    const before = (await api.owner.get(path)).body
    const response = await api.owner.put(path, { shortcode: { mps: 8, ...shortcode } })
    expect(response).toMatchObject({ status: 422 })
    expect(response.body.error).toContain(message)
    expect((await api.owner.get(path)).body).toEqual(before)
  })

  test('of an unknown short code are not found', async () => {
    for (const code of ['1', 'abc']) {
      const path = `/shortcodes/${code}/routes`
      const responses = [await api.owner.get(path), await api.owner.put(path, { shortcode: { mps: 3 } })]
      for (const response of responses)
        expect(response).toMatchObject({ status: 404, body: { error: 'Shortcode not found' } })
    }
  })
})
