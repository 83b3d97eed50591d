import { expect, test } from 'vitest'
import { cpuMs } from '../../test/cpu-time.ts'
import { type BareWord, keywordForm, parseBareWord } from './words.ts'

const cases: Record<BareWord, string[]> = {
  opt_out: [
    'STOP',
    'stop',
    'Stop',
    'sToP',
    ' stop ',
    'stop\n',
    '\r\n\tSTOP',
    '\u00a0stop\u00a0',
    '\ufeffstop',
    'Stop.',
    'STOP!!',
    'stop...',
    'stop?!',
    '"stop"',
    '“Stop”',
    '(stop)',
    '*STOP*',
    '-stop-',
    'stop 🙏',
    'stop 👍🏽',
    '🛑stop🛑',
    'stop ❤️',
    'STOP :)',
    'stopall',
    'STOP ALL',
    'Stop   all',
    'stop\nall',
    'stop-all',
    'unsubscribe',
    'Cancel',
    'END',
    'quit',
    'Revoke',
    'optout',
    'opt out',
    'Opt-Out',
    'opt – out',
    'OPT_OUT',
    'remove',
    'arret',
    'ARRÊT',
    'arrêt',
    'arre\u0302t',
    'Alto',
    'st0p',
    'ＳＴＯＰ',
    'st\u200bop',
    `${'!'.repeat(5000)}stop${' '.repeat(5000)}`,
  ],
  help: ['HELP', 'help', 'Help!', ' help?? ', 'info', 'INFO.', 'Aide', '🙏 help'],
  opt_in: ['START', 'start', ' Start! ', '“Unstop”', 'UNSTOP.', 'yes', 'Yes 👍🏽', 'ＳＴＡＲＴ', 'st\u200bart'],
  other: [
    '',
    ' ',
    '!!!',
    '🙏',
    's',
    'stop this bill',
    'Stop the war',
    "don't stop",
    'non-stop',
    'stop 1',
    'stopped',
    'stops',
    'stop stop',
    'sto p',
    's.t.o.p',
    'the end',
    'end it',
    'cancel my order',
    'remove me',
    'please stop',
    'stop please',
    'stop, thanks',
    'STOP ALL NOW',
    'help me',
    'helpful',
    'information',
    'help stop',
    'stop help',
    'yes please',
    'START NOW',
    'restart',
    '0',
    `stop${' '.repeat(5000)}all of it`,
    'stop\ud83d\ude4fall',
  ],
}

for (const [word, texts] of Object.entries(cases)) {
  test.each(texts.map((text) => [text.length > 60 ? `${text.slice(0, 20)}… (${text.length})` : text, text]))(
    `%j is ${word}`,
    (_name, text) => {
      expect(parseBareWord(text)).toBe(word)
    },
  )
}

test.each([
  ['savenow', 'SAVENOW'],
  [' "Save now!" 🙏', 'SAVENOW'],
  ['save-now', 'SAVENOW'],
  ['SAVE_NOW', 'SAVENOW'],
  ['ｓａｖｅ', 'SAVE'],
  ['cafe\u0301', 'CAFÉ'],
  ['save our soup', 'SAVEOURSOUP'],
  ['save.now', 'SAVE.NOW'],
  ['s', undefined],
  ['🙏', undefined],
  ['a text that is longer than any keyword', undefined],
])('%j is compared with keywords as %j', (content, form) => {
  expect(keywordForm(content)).toBe(form)
})

test('parsing a long text takes linear time', () => {
  const texts = ['!'.repeat(40_000), 'a'.repeat(40_000), 'a!'.repeat(20_000), `stop ${'\u200b'.repeat(40_000)}`]
  // quadratic time would be seconds
  expect(cpuMs(() => texts.forEach((text) => void parseBareWord(text)))).toBeLessThan(500)
})
