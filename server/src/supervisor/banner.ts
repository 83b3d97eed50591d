/** The sandbox's account, with the list and the key for a first broadcast. */
export type SandboxAccount = { email: string; apiKey: string | undefined; listId: number; shortCode: string }

export type BannerFacts = {
  mode: 'sandbox' | 'production'
  url: string
  /** The URL on this machine; it differs from `url` behind a proxy. */
  listenUrl: string
  dataDir: string
  /** Location of the database if it is not in the data directory, and the reason. */
  databaseNote: string | undefined
  account: SandboxAccount | undefined
}

/** Returns the text that `npm start` prints when all roles run. */
export function renderBanner({ mode, url, listenUrl, dataDir, databaseNote, account }: BannerFacts): string {
  const rows: [string, string][] = [
    ['Console', `${url}/`],
    ['Reference', `${url}/docs`],
    ...(listenUrl === url ? [] : [['Listens at', listenUrl] as [string, string]]),
    ...(account ? loginRows(account) : []),
    ['Data', dataDir],
    ...(databaseNote ? [['Database', databaseNote] as [string, string]] : []),
  ]
  const modeLine =
    mode === 'sandbox'
      ? 'Carillon runs in sandbox mode: every text goes to the built-in simulator, none to a phone.'
      : 'Carillon runs in production mode: texts go to phones.'
  return [
    '',
    modeLine,
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(10)} ${value}`),
    '',
    ...(account?.apiKey ? [firstBroadcast(url, account, account.apiKey), ''] : []),
    'Stop with Ctrl-C.',
    '',
  ].join('\n')
}

function loginRows({ email, apiKey }: SandboxAccount): [string, string][] {
  return [
    ['Login', email],
    ['API key', apiKey ?? 'created with another data directory, which stores it; this one cannot show it'],
  ]
}

function firstBroadcast(url: string, { email, listId }: SandboxAccount, apiKey: string): string {
  return `Send a first broadcast:

  curl -u '${email}:${apiKey}' \\
    -H 'Content-Type: application/json' \\
    -d '{"message":{"content":"Hello from Carillon"}}' \\
    ${url}/api/v2/lists/${listId}/messages`
}
