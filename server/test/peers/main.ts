// npm run test:peers: tests our SMPP with SMPP software of others, and our HTTP behind their proxies. Missing Debian packages
// are installed if possible; otherwise their checks are skipped with a reason. `-- nginx` runs the checks of one peer.

import { Checks } from './checks.ts'
import { checkDissector } from './dissector.ts'
import { checkKannel } from './kannel.ts'
import { checkPerlClient, checkPerlServer } from './net-smpp.ts'
import { checkNginx } from './nginx.ts'
import { install } from './programs.ts'

type Peer = { name: string; packages: Record<string, string>; run: ((checks: Checks) => Promise<void>)[] }

const peers: Peer[] = [
  { name: 'Kannel', packages: { kannel: 'bearerbox' }, run: [checkKannel] },
  {
    name: 'Net::SMPP',
    packages: { perl: 'perl', 'libnet-smpp-perl': 'perl Net::SMPP' },
    run: [checkPerlClient, checkPerlServer],
  },
  { name: 'Wireshark', packages: { tshark: 'tshark' }, run: [checkDissector] },
  { name: 'nginx', packages: { nginx: 'nginx', curl: 'curl' }, run: [checkNginx] },
]

const wanted = process.argv.slice(2).map((name) => name.toLowerCase())
const checks = new Checks()
for (const { name, packages, run } of peers) {
  if (wanted.length > 0 && !wanted.includes(name.toLowerCase())) continue
  console.log(`\n${name}`)
  const reason = install(packages)
  if (reason) checks.skip(name, reason)
  else for (const check of run) await check(checks)
}
process.exitCode = checks.summarize() ? 0 : 1
