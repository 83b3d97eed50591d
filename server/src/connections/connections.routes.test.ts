import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readEnv } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import { errors } from '../errors.ts'
import { changeConnection, createConnection } from './changes.ts'
import { findConnection, listConnections } from './connections.queries.ts'
import { loadConnections } from './connections.ts'

const api = useApi()

type Body = { id: number; version: number; name: string } & Record<string, unknown>

async function create(connection: object = {}) {
  const response = await api.owner.post('/connections', {
    connection: { name: 'Cedar SMS', host: '127.0.0.1', ...connection },
  })
  expect(response).toMatchObject({ status: 201, body: { status: 'Connection created' } })
  return response.body.connection as Body
}

const show = async (id: number) => (await api.owner.get(`/connections/${id}`)).body.connection as Body

/** All settings, each with a value that is not the default. */
const allSettings = {
  name: 'Cedar SMS',
  enabled: false,
  serves_all: true,
  host: 'localhost',
  port: 2776,
  tls: true,
  tls_server_name: 'smsc.cedar.example',
  system_id: 'cedar',
  system_type: 'VMA',
  bind_type: 'pair',
  slots: 3,
  window: 25,
  mps: 40,
  carrier_mps: { 383: 20 },
  charset: 'latin1',
  long_text: 'sar',
  service_type: 'CMT',
  source_ton: 1,
  source_npi: 2,
  dest_ton: 0,
  dest_npi: 8,
  validity_s: 3_600,
  response_deadline_ms: 4_000,
  receipt_deadline_s: 86_400,
  enquire_link_s: 30,
  receipt_id_form: 'hex',
  error_map: { receipt: { 4470: 'blocked' }, status: { '0x45': 'soft', ESME_RX_P_APPN: 'hard' } },
  query_sm: true,
  query_after_s: 600,
}

describe('creating', () => {
  test('accepts all settings and returns all but the secrets', async () => {
    const made = await create({ ...allSettings, password: 'swordfish' })
    expect(made).toMatchObject({ ...allSettings, has_password: true, has_tls_key: false, binds: [], problem: null })
    expect(await show(made.id)).toEqual(made)
    const list = await api.owner.get('/connections')
    expect(list.body).toMatchObject({ status: 'OK', count: 1, connections: [made] })
    expect(list.text).not.toContain('swordfish')
    const [row] = await listConnections(api.db)
    expect(row?.password?.includes('swordfish')).toBe(false)
    const [connection] = await loadConnections(api.rt)
    expect(connection?.password.reveal()).toBe('swordfish')
  })

  test('requires name and host, and has defaults for all other settings', async () => {
    expect(await create()).toMatchObject({
      ...{ enabled: true, serves_all: false, port: 2775, tls: false, bind_type: 'transceiver', slots: 1, window: 10 },
      ...{ mps: null, charset: 'gsm7', long_text: 'udh8', has_password: false, error_map: {}, from_environment: false },
    })
    expect(await create({ name: 'Other', tls: true })).toMatchObject({ port: 3550 })
    const response = await api.owner.post('/connections', { connection: {} })
    expect(response.body.details).toEqual({
      'connection.name': ["can't be blank"],
      'connection.host': ["can't be blank"],
    })
  })

  test('rejects a name that is taken, and the name of the connection of CARILLON_SMPP_URL', async () => {
    await create()
    const again = await api.owner.post('/connections', { connection: { name: 'Cedar SMS', host: '127.0.0.1' } })
    expect(again).toMatchObject({ status: 422, body: { code: 'connection_name_taken' } })
    const reserved = await api.owner.post('/connections', { connection: { name: 'default', host: '127.0.0.1' } })
    expect(reserved.body.error).toContain('Name is reserved for the connection of CARILLON_SMPP_URL')
    const other = await create({ name: 'Other' })
    const renamed = await api.owner.put(`/connections/${other.id}`, { connection: { name: 'Cedar SMS', mps: 3 } })
    expect(renamed).toMatchObject({ status: 422, body: { code: 'connection_name_taken' } })
    expect(await show(other.id)).toEqual(other)
  })
})

const invalid: [object, string][] = [
  [{ name: '' }, "Name can't be blank"],
  [{ name: '12' }, 'Name must not be a number'],
  [{ name: ' Cedar' }, 'Name is invalid'],
  [{ name: 'x'.repeat(61) }, 'Name is too long (maximum is 60 characters)'],
  [{ enabled: 'yes' }, 'Enabled must be a boolean'],
  [{ host: 'smsc_of mine' }, 'Host must be a host name or an IP address'],
  [{ host: 'smpp://localhost' }, 'Host must be a host name or an IP address'],
  [{ host: 'smsc.cedar.example' }, 'Host must be this machine (127.0.0.1) in sandbox mode'],
  [{ host: '127.0.0.1.cedar.example' }, 'Host must be this machine'],
  [{ host: '10.0.0.1' }, 'Host must be this machine'],
  [{ host: null }, 'Host must be a string'],
  [{ port: 0 }, 'Port must be greater than or equal to 1'],
  [{ port: 65_536 }, 'Port must be less than or equal to 65535'],
  [{ port: '2775' }, 'Port must be an integer'],
  [{ tls_server_name: 'a b' }, 'Tls server name must be a host name'],
  [{ tls_ca: 'trust me' }, 'Tls ca must be a certificate in PEM'],
  [
    { tls_ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' },
    'Tls ca contains a certificate that cannot be parsed',
  ],
  [{ tls_key: 'x' }, 'Tls certificate is required with tls_key, Tls key must be a private key in PEM'],
  [{ system_id: 'x'.repeat(64) }, 'System id is too long (maximum is 63 characters)'],
  [{ system_id: 'ä' }, 'is invalid'],
  [{ password: 'x'.repeat(64) }, 'Password is too long (maximum is 63 characters)'],
  [{ password: null }, 'Password must be a string'],
  [{ system_type: 'x'.repeat(33) }, 'System type is too long (maximum is 32 characters)'],
  [{ bind_type: 'duplex' }, 'Bind type is not included in the list'],
  [{ slots: 65 }, 'Slots must be less than or equal to 64'],
  [{ window: 0 }, 'Window must be greater than or equal to 1'],
  [{ mps: 0 }, 'Mps must be greater than or equal to 1'],
  [{ mps: 1.5 }, 'Mps must be an integer or null'],
  [{ carrier_mps: { 383: 0 } }, 'must be greater than or equal to 1'],
  [{ carrier_mps: { 383: '20' } }, 'must be an integer'],
  [{ carrier_mps: { 'AT&T': 20 } }, 'Carrier mps must have carrier ids as keys'],
  [{ carrier_mps: [20] }, 'Carrier mps must be an object'],
  [{ charset: 'utf8' }, 'Charset is not included in the list'],
  [{ long_text: 'udh' }, 'Long text is not included in the list'],
  [{ service_type: 'CMTCMT' }, 'Service type is too long (maximum is 5 characters)'],
  [{ source_ton: 256 }, 'Source ton must be less than or equal to 255'],
  [{ validity_s: 59 }, 'Validity s must be greater than or equal to 60'],
  [{ response_deadline_ms: 99 }, 'Response deadline ms must be greater than or equal to 100'],
  [{ receipt_deadline_s: 0 }, 'Receipt deadline s must be greater than or equal to 1'],
  [{ enquire_link_s: 0 }, 'Enquire link s must be greater than or equal to 1'],
  [{ receipt_id_form: 'octal' }, 'Receipt id form is not included in the list'],
  [
    { error_map: { receipt: { 4470: 'dead' } } },
    'Error map must map codes to delivered, soft, hard, blocked, opted_out, not_final, not dead',
  ],
  [{ error_map: { receipt: { '44 70': 'hard' } } }, 'Error map has an invalid receipt code: 44 70'],
  [{ error_map: { status: { ESME_RNONSENSE: 'hard' } } }, 'Error map has an invalid command_status: ESME_RNONSENSE'],
  [{ error_map: { status: { '0x1ffffffff': 'hard' } } }, 'Error map has an invalid command_status: 0x1ffffffff'],
  [{ error_map: { status: { 0: 'hard' } } }, 'Error map has an invalid command_status: 0'],
  [{ error_map: { status: { '0x45': 'delivered' } } }, 'Error map must not map a command_status to delivered'],
  [
    { error_map: { statuses: { '0x45': 'soft' } } },
    'Error map must have the keys receipt and status only, not statuses',
  ],
  [{ query_after_s: 0 }, 'Query after s must be greater than or equal to 1'],
]

test.each(invalid)('rejects %j and changes nothing', async (fields, message) => {
  const made = await create({ name: 'Before', password: 'swordfish' })
  const before = await findConnection(api.db, made.id)
  const posted = await api.owner.post('/connections', { connection: { name: 'New', host: '127.0.0.1', ...fields } })
  expect(posted).toMatchObject({ status: 422, body: { code: 'invalid' } })
  expect(posted.body.error).toContain(message)
  const put = await api.owner.put(`/connections/${made.id}`, { connection: { window: 77, ...fields } })
  expect(put).toMatchObject({ status: 422, body: { code: 'invalid' } })
  expect(put.body.error).toContain(message)
  expect(await findConnection(api.db, made.id)).toEqual(before)
  expect(await listConnections(api.db)).toHaveLength(1)
})

describe('updating', () => {
  test('changes only the keys in the request, and increments the version with each change', async () => {
    const made = await create({ password: 'swordfish', mps: 5 })
    const put = async (connection: object) =>
      (await api.owner.put(`/connections/${made.id}`, { connection })).body.connection as Body
    const faster = await put({ mps: null, window: 50 })
    const updated_at = expect.any(String)
    expect(faster).toEqual({ ...made, mps: null, window: 50, version: made.version + 1, updated_at })
    expect(await put({ window: 50, password: 'swordfish' })).toEqual(faster)
    // a response is accepted as a request
    expect(await put(faster)).toEqual(faster)
    expect(await put({ password: 'sturgeon' })).toMatchObject({ version: made.version + 2 })
    expect((await loadConnections(api.rt))[0]?.password.reveal()).toBe('sturgeon')
  })

  test('rejects only secrets if there is no secret key', async () => {
    const { config: _, ...rest } = makeRuntime({ db: api.db })
    const rt = { ...rest, config: readEnv({ CARILLON_RATE_LIMIT: 'off' }) }
    const row = await createConnection(rt, { name: 'Cedar SMS', host: '127.0.0.1' })
    const secret = { password: new Secret('swordfish') }
    await expect(changeConnection(rt, row.id, { ...secret, mps: 3 })).rejects.toThrow('no secret key is set')
    await expect(createConnection(rt, { name: 'B', host: '127.0.0.1', ...secret })).rejects.toThrow(
      'no secret key is set',
    )
    expect((await listConnections(api.db)).map(({ mps }) => mps)).toEqual([null])
    expect((await changeConnection(rt, row.id, { mps: 3 })).mps).toBe(3)
  })

  test('can replace an unreadable secret, which is reported', async () => {
    const made = await create({ password: 'swordfish' })
    await api.db.exec('reseal', `update connections set password = overlay(password placing '\\x00000000' from 2)`)
    expect((await show(made.id)).problem).toContain('The password of connection Cedar SMS was sealed with another key')
    await api.owner.put(`/connections/${made.id}`, { connection: { mps: 4 } })
    await api.owner.put(`/connections/${made.id}`, { connection: { password: 'sturgeon' } })
    expect(await show(made.id)).toMatchObject({ problem: null, mps: 4 })
  })

  test('applies all concurrent changes, and only one of concurrent creations with the same name succeeds', async () => {
    const fresh = await freshDatabase()
    try {
      const rt = makeRuntime({ db: fresh.db })
      const { id } = await createConnection(rt, { name: 'Cedar SMS', host: '127.0.0.1' })
      await Promise.all([{ mps: 3 }, { window: 33 }, { slots: 3 }].map((change) => changeConnection(rt, id, change)))
      expect(await findConnection(fresh.db, id)).toMatchObject({ mps: 3, window: 33, slots: 3, version: 5 })
      const makers = Array.from({ length: 4 }, () => createConnection(rt, { name: 'Other', host: '127.0.0.1' }))
      const outcomes = await Promise.allSettled(makers)
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.code] : []))
      expect(reasons).toEqual(Array(3).fill(errors.connectionNameTaken().code))
    } finally {
      await fresh.close()
    }
  })
})

test('returns each slot as its gateway has reported it, and no gateway for an expired lease', async () => {
  const { id } = await create({ slots: 3 })
  await api.db.exec(
    'slots',
    `insert into bind_slots (connection_id, slot, leased_by, lease_until, bound, last_error, changed_at)
     values ($1, 1, $2, clock_timestamp() + interval '5 s', false, 'bind refused: ESME_RALYBND', '2026-03-02T17:30:00Z'),
            ($1, 0, $2, clock_timestamp() + interval '5 s', true, null, '2026-03-02T17:30:00Z'),
            ($1, 2, $2, clock_timestamp() - interval '1 s', true, null, '2026-03-02T17:30:00Z')`,
    [id, 'b2a1c3d4-0000-4000-8000-000000000001'],
  )
  const gateway = 'b2a1c3d4-0000-4000-8000-000000000001'
  const since = '2026-03-02T09:30:00-08:00'
  expect((await show(id)).binds).toEqual([
    { slot: 0, gateway, bound: true, last_error: null, since },
    { slot: 1, gateway, bound: false, last_error: 'bind refused: ESME_RALYBND', since },
    { slot: 2, gateway: null, bound: false, last_error: null, since },
  ])
})

test('a malformed id is not found', async () => {
  for (const id of ['abc', '0', '32768', '9007199254740991']) {
    for (const response of [
      await api.owner.get(`/connections/${id}`),
      await api.owner.put(`/connections/${id}`, { connection: { mps: 3 } }),
      await api.owner.delete(`/connections/${id}`),
      await api.owner.post(`/connections/${id}/test`),
    ]) {
      expect(response).toMatchObject({ status: 404, body: { error: 'Connection not found' } })
    }
  }
})
