import { describe, expect, test } from 'vitest'
import { loopbackRanges } from './address-ranges.ts'
import { makeCallbackUrlCheck } from './callback-url.ts'

const check = makeCallbackUrlCheck([])

test.each([
  ...['https://hooks.cedar.example/in?key=7f2a#x', 'HTTP://Hooks.Cedar.Example', 'http://hooks.example:8080/ä?ö'],
  // not resolvable, which the first attempt reports
  ...['https://no-such-name.invalid/', 'https://hooks.example./', 'http://hooks/', 'http://localhost.example/'],
  ...['https://8.8.8.8/', 'https://[2606:4700:4700::1111]/', 'https://134744072/', 'http://notlocalhost/'],
])('%s is accepted', (url) => {
  expect(check(url)).toBeUndefined()
})

describe('a private address is rejected in each spelling, unless its range is allowed:', () => {
  const loopback = [
    ...['127.0.0.1', '127.1', '127.0.0.1.', '2130706433', '0x7f.1', '0x7f000001', '0X7F.0.0.1', '0177.0.0.1'],
    ...['017700000001', '00000177.1', '１２７.０.０.１', '127。0。0。1', '①②⑦.0.0.1', '%31%32%37.0.0.1', '127%2e0.0.1'],
    ...['[::1]', '[0:0:0:0:0:0:0:1]', '[0000::0001]', '[::ffff:127.0.0.1]', '[::FFFF:7f00:1]'],
    ...[
      'localhost',
      'LOCALHOST',
      'localhost.',
      'api.localhost',
      'ｌｏｃａｌｈｏｓｔ',
      'loc%61lhost',
      'l\u00adocalhost',
    ],
  ]
  const check127 = makeCallbackUrlCheck(loopbackRanges)

  test.each(loopback)('http://%s:3000/', (host) => {
    expect(check(`http://${host}:3000/`)).toBe('must not be a private address')
    expect(check127(`http://${host}:3000/`)).toBeUndefined()
  })

  test.each([
    ...['0', '0.0.0.0', '10.0.0.7', '172.16.0.1', '192.168.1.1', '169.254.169.254', '0xa9fea9fe', '100.64.0.1'],
    ...['168.63.129.16', '224.0.0.1', '255.255.255.255', '198.18.0.1', '[::]', '[fe80::1]', '[fd00::1]', '[ff02::1]'],
    ...['[::127.0.0.1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[2001:db8::1]', '[2a00::5efe:7f00:1]'],
    ...['[::ffff:10.0.0.7]', '[fd00:ec2::254]'],
  ])('https://%s/', (host) => {
    for (const each of [check, check127]) expect(each(`https://${host}/`)).toBe('must not be a private address')
  })

  test('with the range of the operator', () => {
    const ours = makeCallbackUrlCheck(['10.20.0.0/16', 'fd00::/8'])
    expect(ours('http://10.20.0.7/')).toBeUndefined()
    expect(ours('http://[fd00::7]/')).toBeUndefined()
    expect(ours('http://10.21.0.7/')).toBe('must not be a private address')
    expect(ours('http://localhost/')).toBe('must not be a private address')
  })
})

test.each([
  ...['https://user:password@hooks.example/', 'https://user@hooks.example/', 'https://:password@hooks.example/'],
  ...[
    'https://8.8.8.8@127.0.0.1/',
    'https://a%40b@hooks.example/',
    'https://@hooks.example/',
    'https://:@hooks.example',
  ],
  ...['HTTP:///@hooks.example/', 'https://\\@hooks.example/', 'https://@@hooks.example/'],
])('%s has a user name or a password', (url) => {
  expect(check(url)).toBe('must not contain a user name or a password')
})

test.each([
  'https://hooks.example\\@127.0.0.1@x.example/',
  'https://hooks.example/@a',
  'https://hooks.example?a@b#@',
  'https://hooks.example#a@b',
])('%s has no user name', (url) => {
  expect(check(url)).toBeUndefined()
})

test.each(['22', '25', '0', '6667', '00025'])('port %s is rejected', (port) => {
  expect(check(`https://hooks.example:${port}/`)).toBe(
    `must not have the port ${Number(port)}, which is not one of a web server`,
  )
})

test.each([
  ...['', 'hooks.example', 'file:///etc/passwd', 'FILE://hooks.example/x', 'ftp://hooks.example/', 'https://', '//a/'],
  ...[
    'javascript:alert(1)',
    'data:text/plain,x',
    'https:hooks.example',
    'https:/hooks.example/',
    'https:\\\\a.example\\',
  ],
  ...['https://a b.example/', 'https://a.example/\r\nX: y', '\thttps://a.example/', 'https://a.example/\u0085x'],
  ...[
    'https://[fe80::1%25eth0]/',
    'https://[fe80::1%eth0]/',
    'https://[::1',
    'https://127.0.0.256/',
    'https://1.2.3.4.5/',
  ],
  ...[
    'https://a.example:65536/',
    'https://a.example:x/',
    'https://%00.example/',
    'blob:https://a.example/1',
    'https://?x',
  ],
])('%j is not an http or https address', (url) => {
  expect(check(url)).toBe('must be an http or https address')
})
