import { describe, expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { Secret } from '../config/secret.ts'
import { type CheckedSettings, findSettingErrors } from './validation.ts'

const authority = makeAuthority()
const [own, other] = [authority.issue('esme.example'), authority.issue('other.example')]
const cert = own.cert
const key = new Secret(own.key)
const encrypted = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n'
const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
const needsCertificate = 'is required with tls_certificate'
const needsKey = 'is required with tls_key'

type Case = [given: CheckedSettings, errors: Record<string, string>]

const cases: Record<string, Case[]> = {
  name: [
    [{ name: 'Cedar 2' }, {}],
    [{ name: '2' }, { name: 'must not be a number' }],
    [{ name: '20482' }, { name: 'must not be a number' }],
  ],
  host: [
    ...['smpp.cedar.example', 'smpp', 'a-b_c.example.', '192.0.2.7', '2001:db8::7', '7.example'].map(
      (host): Case => [{ host }, {}],
    ),
    ...['-a.example', 'a-.example', 'a..example', '4 b', 'a/b', 'ä.example'].map(
      (host): Case => [{ host }, { host: 'must be a host name or an IP address' }],
    ),
  ],
  'TLS server name': [
    [{ tlsServerName: null }, {}],
    [{ tlsServerName: 'smpp.cedar.example' }, {}],
    [{ tlsServerName: 'a..b' }, { tls_server_name: 'must be a host name' }],
  ],
  'certificate authority': [
    [{ tlsCa: null }, {}],
    [{ tlsCa: authority.cert }, {}],
    [{ tlsCa: authority.cert + cert }, {}],
    [{ tlsCa: 'no certificate' }, { tls_ca: 'must be a certificate in PEM' }],
    [{ tlsCa: broken }, { tls_ca: 'contains a certificate that cannot be parsed' }],
    [{ tlsCa: cert + own.key }, { tls_ca: 'must not contain a private key' }],
  ],
  'own certificate': [
    [{ ownTls: { certificate: null, key: null } }, {}],
    [{ ownTls: { certificate: cert, key } }, {}],
    [{ ownTls: { certificate: cert, key: null } }, { tls_key: needsCertificate }],
    [{ ownTls: { certificate: null, key } }, { tls_certificate: needsKey }],
    [{ ownTls: { certificate: cert, key: new Secret(other.key) } }, { tls_certificate: 'does not belong to the key' }],
    [{ ownTls: { certificate: 'none', key } }, { tls_certificate: 'must be a certificate in PEM' }],
    [{ ownTls: { certificate: broken, key } }, { tls_certificate: 'contains a certificate that cannot be parsed' }],
    [{ ownTls: { certificate: cert, key: new Secret('none') } }, { tls_key: 'must be a private key in PEM' }],
    [
      { ownTls: { certificate: cert, key: new Secret(encrypted) } },
      { tls_key: 'must not be encrypted; it is stored sealed' },
    ],
  ],
  'caps of carriers': [
    [{ carrierMps: {} }, {}],
    [{ carrierMps: { 383: 75, 999999999: 1 } }, {}],
    ...['0', '07', '1234567890', 'x'].map(
      (id): Case => [{ carrierMps: { [id]: 1 } }, { carrier_mps: 'must have carrier ids as keys' }],
    ),
    [{ carrierMps: numbered(500, 75) }, {}],
    [{ carrierMps: numbered(501, 75) }, { carrier_mps: 'has too many carriers (maximum is 500)' }],
  ],
  'error map': [
    [{ errorMap: {} }, {}],
    [{ errorMap: { receipt: { '00a1': 'hard', rejectd: 'soft', '5': 'delivered' } } }, {}],
    [{ errorMap: { status: { '0x45': 'hard', '1': 'soft', ESME_RSYSERR: 'blocked', '0xffffffff': 'soft' } } }, {}],
    [{ errorMap: { other: {} } as object }, { error_map: 'must have the keys receipt and status only, not other' }],
    ...['', '4 b', 'a/b'].map(
      (code): Case => [
        { errorMap: { receipt: { [code]: 'soft' } } },
        { error_map: `has an invalid receipt code: ${code}` },
      ],
    ),
    ...['0', '0x', '0x100000000', '4294967296', 'ESME_NONE', 'x', '-1', '1.5'].map(
      (status): Case => [
        { errorMap: { status: { [status]: 'soft' } } },
        { error_map: `has an invalid command_status: ${status} (0x45 and ESME_RSUBMITFAIL are valid)` },
      ],
    ),
    [
      { errorMap: { receipt: { 5: 'odd' as 'soft' } } },
      { error_map: 'must map codes to delivered, soft, hard, blocked, opted_out, not_final, not odd' },
    ],
    [{ errorMap: { status: { '0x45': 'delivered' } } }, { error_map: 'must not map a command_status to delivered' }],
    [{ errorMap: { status: { '0x45': 'not_final' } } }, { error_map: 'must not map a command_status to not_final' }],
    [{ errorMap: { receipt: { FOO: 'soft', 'NO ROUTE': 'blocked', BUFFRED: 'not_final', acceptd: 'delivered' } } }, {}],
    [
      { errorMap: { receipt: { '042': 'soft', 42: 'hard' } } },
      { error_map: 'has the receipt code 042 twice; case and leading zeros are ignored' },
    ],
    [
      { errorMap: { receipt: { foo: 'soft', FOO: 'hard' } } },
      { error_map: 'has the receipt code FOO twice; case and leading zeros are ignored' },
    ],
    [{ errorMap: { status: { '0x45': 'soft', 69: 'hard' } } }, { error_map: 'has the command_status 0x45 twice' }],
    [
      { errorMap: { status: { '0x45': 'soft', ESME_RSUBMITFAIL: 'hard' } } },
      { error_map: 'has the command_status ESME_RSUBMITFAIL twice' },
    ],
    [{ errorMap: { receipt: numbered(999, 'soft' as const), status: { 1: 'soft' } } }, {}],
    [
      { errorMap: { receipt: numbered(1_000, 'soft' as const), status: { 1: 'soft' } } },
      { error_map: 'has too many codes (maximum is 1000)' },
    ],
  ],
}

describe.each(Object.entries(cases))('%s', (_, all) => {
  test.each(all.map((each, n): [number, ...Case] => [n, ...each]))('is validated (case %i)', (_n, given, errors) => {
    expect(findSettingErrors(given, 'production')).toEqual(errors)
  })
})

test('the errors of all settings are returned', () => {
  expect(Object.keys(findSettingErrors({ name: '7', host: '4 b', carrierMps: { x: 1 } }, 'production'))).toEqual([
    'name',
    'host',
    'carrier_mps',
  ])
})

test.each([
  ['127.0.0.1', undefined],
  ['::1', undefined],
  ['localhost', undefined],
  ['192.0.2.7', 'must be this machine (127.0.0.1) in sandbox mode'],
  ['smpp.cedar.example', 'must be this machine (127.0.0.1) in sandbox mode'],
])('the host %s has the error "%s" in sandbox mode', (host, error) => {
  expect(findSettingErrors({ host }, 'sandbox').host).toBe(error)
})

function numbered<T>(count: number, value: T): Record<string, T> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [String(n + 1), value]))
}
