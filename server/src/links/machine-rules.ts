import type { IncomingHttpHeaders } from 'node:http'

// The rules that attribute a click to a machine, in the order in which they are applied. The first three need only the
// request; the other two are applied when the click is stored.

/** Rules that need only the request. */
export type RequestRule = 'head' | 'prefetch' | 'scanner'

export type Rule = RequestRule | 'before_delivery' | 'burst'

// Programs that open links without a person: previews of messengers and social networks, scanners of security products,
// search engines, monitoring, and libraries of programming languages. iMessage identifies itself as facebookexternalhit. Names of
// messengers alone are none of them: their browsers, in which people read, have the names, too. CUBOT makes phones.
const programs = new RegExp(
  [
    '(?<!\\bcu)bots?\\b|crawl|spider|slurp|scan|preview|monitor|check|validator|fetch|proxy|archiver|headless|phantomjs|lighthouse',
    'facebookexternalhit|facebookcatalog|whatsapp/|^viber|pinterest/0',
    'google-safety|google-read-aloud|googleother|google-inspectiontool|apis-google|bingpreview|microsoft office|msoffice|ms-office',
    'barracuda|proofpoint|mimecast|symantec|trendmicro|fortinet|forcepoint|sophos|zscaler|checkpoint|paloalto|virustotal|urlscan',
    'curl/|wget/|python|go-http-client|java/|okhttp|apache-http|libwww|lwp::|axios|node-fetch|undici|got \\(|guzzle|ruby|php/|postman|insomnia',
  ].join('|'),
  'i',
)

/** Returns the rule that attributes a request to a machine; undefined if none does. */
export function ruleOfRequest(method: string, headers: IncomingHttpHeaders): RequestRule | undefined {
  if (method === 'HEAD') return 'head'
  const purposes = [headers['sec-purpose'], headers.purpose, headers['x-purpose'], headers['x-moz']]
  if (purposes.some((purpose) => /prefetch|prerender|preview/i.test(String(purpose ?? '')))) return 'prefetch'
  const agent = headers['user-agent']?.trim() ?? ''
  return agent === '' || programs.test(agent) ? 'scanner' : undefined
}

/** Time after a text was handed to the carrier in which no person can have read it, unless a receipt says otherwise. */
const transitMs = 2_000
/** Time after a click of the same recipient on the same message in which another click is a repetition by a machine. */
export const burstMs = 1_000

/** What is known of the text that contained the short URL. */
export type ClickedText = { state: string; submittedAt: Date | null }

/**
 * Returns whether a text had not reached its phone when its link was opened: it was not handed to the carrier, or less than
 * two seconds ago and without a receipt, or the carrier did not deliver it.
 */
export function isBeforeDelivery(text: ClickedText, clickedAt: Date): boolean {
  const { state, submittedAt } = text
  if (submittedAt === null || submittedAt > clickedAt || state === 'bounced') return true
  return state !== 'delivered' && clickedAt.getTime() - submittedAt.getTime() < transitMs
}
