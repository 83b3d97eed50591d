import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { readEnv } from '../config/config.ts'
import { storeInbound } from '../inbound/inbound.ts'
import { insertAttempts } from '../log/attempts.queries.ts'
import { markSent } from '../log/marks.queries.ts'
import { insertUnreadReceipts } from '../receipts/waiting.queries.ts'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import { createServer } from '../smpp/server.ts'
import { removeConnection } from './changes.ts'
import { listConnections } from './connections.queries.ts'
import { ensureEnvironmentConnection } from './environment.ts'

const api = useApi()

async function create(connection: object = {}): Promise<{ id: number }> {
  const response = await api.owner.post('/connections', {
    connection: { name: 'Cedar SMS', host: '127.0.0.1', ...connection },
  })
  return response.body.connection as { id: number }
}

describe('deleting', () => {
  const rejection = (reason: string) => ({
    status: 422,
    body: { code: 'connection_in_use', error: expect.stringContaining(reason) },
  })

  test('requires a connection that is disabled, unbound, without sending routes and without traffic', async () => {
    const { id } = await create()
    const remove = () => api.owner.delete(`/connections/${id}`)
    expect(await remove()).toMatchObject(rejection('It is enabled; disable it first'))
    await api.owner.put(`/connections/${id}`, { connection: { enabled: false } })
    const { code } = api.stranger.shortCode
    await api.owner.put(`/shortcodes/${code}/routes`, { shortcode: { routes: [{ connection_id: id }] } })
    expect(await remove()).toMatchObject(rejection(`Shortcodes send through it: ${code}`))
    await api.owner.put(`/shortcodes/${code}/routes`, { shortcode: { routes: [] } })
    await api.db.exec(
      'lease',
      `insert into bind_slots (connection_id, slot, leased_by, lease_until, bound)
       values ($1, 0, gen_random_uuid(), clock_timestamp() + interval '5 s', true)`,
      [id],
    )
    expect(await remove()).toMatchObject(rejection('A gateway is still bound to it'))
    await api.db.exec('expire', `update bind_slots set lease_until = clock_timestamp()`)
    expect(await remove()).toMatchObject({ status: 200, body: { status: 'Connection destroyed' } })
    expect(await remove()).toMatchObject({ status: 404, body: { error: 'Connection not found' } })
    expect(await listConnections(api.db)).toEqual([])
  })

  describe('is not possible after', () => {
    const uses: Record<string, (id: number) => Promise<unknown>> = {
      'an accepted text': (id) =>
        markSent(api.db, '2031-05-06', id, [{ logId: 1, phone: 2_065_560_001, part: 0, smscId: 'a', complete: false }]),
      'a rejected text': (connectionId) => {
        const attempt = { logId: 1, day: '2031-05-06', part: 0, connectionId, writtenAt: null, responseMs: null }
        return insertAttempts(api.db, [{ ...attempt, outcome: 'not written' }])
      },
      'a text from a phone': (connectionId) => {
        const mo = { connectionId, shortCode: '77777', phone: 2_065_560_001, content: 'Hi', raw: Buffer.from('Hi') }
        return storeInbound(api.db, { ...mo, dataCoding: 0, receivedAt: new Date() })
      },
      'a receipt': (connectionId) => {
        const of = { connectionId, smscId: 'a', phone: 2_065_560_001, shortCode: '77777', reference: null }
        const receipt = { ...of, state: null, reason: null, carrierStatus: '?', submitDate: null, excerpt: null }
        return insertUnreadReceipts(api.db, [{ ...receipt, receivedAt: new Date() }])
      },
    }

    test.each(Object.keys(uses))('%s', async (name) => {
      const { id } = await create({ enabled: false })
      const { id: other } = await create({ name: 'Elm SMS', enabled: false })
      await api.db.exec('day', `select ensure_log_day('2031-05-06')`)
      await uses[name]?.(id)
      expect(await api.owner.delete(`/connections/${id}`)).toMatchObject(
        rejection('It has sent or received texts, and their rows refer to it; disable it instead'),
      )
      expect((await api.owner.delete(`/connections/${other}`)).status).toBe(200)
    })

    test.each(['a text from a phone', 'a receipt'])('%s that could not mark the connection', async (name) => {
      const { id } = await create({ enabled: false })
      await uses[name]?.(id)
      await api.db.exec('unmark', 'update connections set is_used = false where id = $1', [id])
      expect(await api.owner.delete(`/connections/${id}`)).toMatchObject(rejection('It has sent or received texts'))
      expect((await api.owner.get(`/connections/${id}`)).status).toBe(200)
    })
  })

  test('is not possible for the connection of CARILLON_SMPP_URL', async () => {
    const smpp = readEnv({ CARILLON_SMPP_URL: 'smpp://a:b@127.0.0.1' }).smpp
    if (!smpp) throw new Error('CARILLON_SMPP_URL is not set')
    const id = await ensureEnvironmentConnection(api.rt, smpp)
    await api.owner.put(`/connections/${id}`, { connection: { enabled: false } })
    await expect(removeConnection(api.rt, id)).rejects.toThrow('It belongs to CARILLON_SMPP_URL; disable it instead')
  })
})

describe('testing', () => {
  test('returns each step and the cause of a failure, and no secret', async () => {
    let status: number = commandStatus.ESME_ROK
    const smsc = createServer({ onBind: () => ({ command_status: status }), onSession: () => {} })
    const port = await smsc.listen(0, '127.0.0.1')
    try {
      const { id } = await create({ port, password: 'swordfish', enabled: false })
      const good = await api.owner.post(`/connections/${id}/test`)
      const steps = ['connect', 'bind', 'enquire_link', 'unbind'].map((step) => {
        return { step, bind: 'transceiver', ok: true, ms: expect.any(Number) }
      })
      expect(good).toMatchObject({ status: 200, body: { status: 'OK', test: { ok: true, error: null, steps } } })
      status = commandStatus.ESME_RALYBND
      await api.db.exec(
        'lease_slot',
        `insert into bind_slots (connection_id, slot, leased_by, lease_until, bound)
         values ($1, 0, gen_random_uuid(), clock_timestamp() + interval '5 s', true)`,
        [id],
      )
      const full = await api.owner.post(`/connections/${id}/test`)
      expect(full.body.test).toMatchObject({
        ok: false,
        error: expect.stringContaining('Our gateways have one bind open'),
      })
      expect(good.text + full.text).not.toContain('swordfish')
    } finally {
      await smsc.close()
    }
  })

  test('rejects an unusable connection', async () => {
    const { id } = await create()
    await api.db.exec('set_remote_host', `update connections set host = 'smsc.cedar.example'`)
    expect(await api.owner.post(`/connections/${id}/test`)).toMatchObject({
      status: 422,
      body: {
        code: 'connection_unusable',
        error: expect.stringContaining('is not on this machine (smsc.cedar.example)'),
      },
    })
    await api.db.exec('remove_host', `update connections set host = null`)
    expect((await api.owner.post(`/connections/${id}/test`)).body.error).toContain('has no address yet')
  })
})
