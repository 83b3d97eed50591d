import { describe, expect, test } from 'vitest'
import { isBeforeDelivery, ruleOfRequest } from './machine-rules.ts'

const safari =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 19_2 like Mac OS X) AppleWebKit/605.1.15 Version/19.2 Mobile/15E148 Safari/604.1'
const android = (device: string, more = '') =>
  `Mozilla/5.0 (Linux; Android 14; ${device}) AppleWebKit/537.36 (KHTML, like Gecko)${more} Chrome/138.0.0.0 Mobile Safari/537.36`

describe('a request with GET', () => {
  test.each([
    safari,
    android('K'),
    android('SM-S911U', ' SamsungBrowser/28.0'),
    android('CUBOT KINGKONG 9'),
    android('CUBOT_X30'),
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
    'Opera/9.80 (Android; Opera Mini/36.2/191.273; U; en) Presto/2.12.423 Version/12.16',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0',
    // browsers inside apps
    `${safari} [LinkedInApp]/9.30`,
    `${safari} [FBAN/FBIOS;FBAV/500.0]`,
    `${safari} Snapchat/13.20 (like Safari/8617, panda)`,
    `${safari} [Pinterest/iOS]`,
    `${android('Pixel 9')} Telegram-Android/11.5 (Google Pixel 9; Android 14; SDK 34)`,
    `${safari} Instagram 350.0`,
    `${android('Pixel 9')} GSA/15.20 (Google app)`,
  ])('of the browser %s is that of a person', (agent) => {
    expect(ruleOfRequest('GET', { 'user-agent': agent })).toBeUndefined()
  })

  test.each([
    undefined,
    '',
    '  ',
    'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    'Mozilla/5.0 (compatible; bingbot/2.0)',
    'Twitterbot/1.0',
    'TelegramBot (like TwitterBot)',
    'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)',
    'Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)',
    'LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)',
    'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)',
    `${safari} facebookexternalhit/1.1 Facebot Twitterbot/1.0`,
    'WhatsApp/2.23.20.0',
    'Viber/21.0',
    'Pinterest/0.2 (+https://www.pinterest.com/bot.html)',
    'Mozilla/5.0 (Windows NT 10.0; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com',
    'Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots',
    'Mozilla/5.0 (compatible; GoogleOther)',
    'Google-Safety; +http://www.google.com/bot.html',
    'Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0; Pro)',
    'BarracudaCentral/1.0',
    'Mozilla/5.0 (compatible; Proofpoint URL Defense)',
    'Mimecast-URL-Protect',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/138.0.0.0 Safari/537.36',
    'curl/8.5.0',
    'Wget/1.21.4',
    'python-requests/2.32.3',
    'Go-http-client/2.0',
    'Java/21.0.3',
    'okhttp/4.12.0',
    'axios/1.7.2',
    'Mozilla/5.0 (compatible; SemrushBot-BA; Baiduspider)',
    'Pingdom.com_bot_version_1.4 (monitor)',
  ])('with the User-Agent %j is that of a scanner', (agent) => {
    expect(ruleOfRequest('GET', agent === undefined ? {} : { 'user-agent': agent })).toBe('scanner')
  })

  test.each([
    ['sec-purpose', 'prefetch'],
    ['sec-purpose', 'prefetch;prerender'],
    ['purpose', 'Prefetch'],
    ['purpose', 'prerender'],
    ['x-purpose', 'preview'],
    ['x-moz', 'prefetch'],
  ])('with the header %s: %s is a prefetch', (header, purpose) => {
    expect(ruleOfRequest('GET', { [header]: purpose, 'user-agent': safari })).toBe('prefetch')
  })

  test.each(['sec-purpose', 'purpose', 'x-purpose', 'x-moz'])('with another value of %s counts as human', (header) => {
    expect(ruleOfRequest('GET', { [header]: 'navigate', 'user-agent': safari })).toBeUndefined()
  })
})

test('the first rule that applies counts: head, then prefetch, then scanner', () => {
  const scanner = { 'user-agent': 'curl/8.5.0' }
  expect(ruleOfRequest('HEAD', { ...scanner, purpose: 'prefetch' })).toBe('head')
  expect(ruleOfRequest('HEAD', { 'user-agent': safari })).toBe('head')
  expect(ruleOfRequest('GET', { ...scanner, purpose: 'prefetch' })).toBe('prefetch')
  expect(ruleOfRequest('GET', scanner)).toBe('scanner')
})

describe('a click is before the delivery', () => {
  const clickedAt = new Date('2031-05-06T10:00:00Z')
  const before = (ms: number) => new Date(clickedAt.getTime() - ms)
  test.each<[string, Date | null, boolean]>([
    ['queued', null, true],
    ['submitting', null, true],
    ['sent', before(-1), true],
    ['delivered', before(-1), true],
    ['sent', before(0), true],
    ['sent', before(1_999), true],
    ['sent', before(2_000), false],
    ['unknown', before(1_999), true],
    ['expired', before(60_000), false],
    ['delivered', before(0), false],
    ['bounced', before(1_000_000), true],
  ])('if the text is %s and was submitted at %s: %s', (state, submittedAt, expected) => {
    expect(isBeforeDelivery({ state, submittedAt }, clickedAt)).toBe(expected)
  })
})
