// nginx with the configuration that docs/operations.md recommends, in front of a whole Carillon. The requests are made with
// curl.

import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Carillon, makeScratch, startCarillon } from '../carillon-process.ts'
import { makeAuthority } from '../certificates.ts'
import { type Checks, expectFields, waitUntil } from './checks.ts'
import { freePort, Program } from './programs.ts'

const start = fileURLToPath(new URL('../../src/bin/start.ts', import.meta.url))
const documented = new URL('../../../docs/proxy/nginx.conf', import.meta.url)
const apiKey = 'a-key-for-requests-through-nginx'
const forged = [
  '-H',
  'X-Forwarded-For: 203.0.113.9',
  '-H',
  'Forwarded: for=203.0.113.9',
  '-H',
  'X-Real-IP: 203.0.113.9',
]

type Response = { status: number; version: string; connects: string; headers: string; body: Record<string, unknown> }

type Site = {
  carillon: Carillon
  url: string
  /** The port of Carillon itself. */
  port: number
  authority: string
  /** Sends a request through nginx. */
  curl(path: string, ...args: string[]): Promise<Response>
}

export async function checkNginx(checks: Checks): Promise<void> {
  const scratch = makeScratch()
  const [port, tlsPort] = [await freePort(), await freePort()]
  const url = `https://localhost:${tlsPort}`
  const authority = writeCertificates(scratch.path)
  const carillon = startCarillon({
    dataDir: join(scratch.path, 'data'),
    script: start,
    env: {
      CARILLON_PORT: String(port),
      CARILLON_PUBLIC_URL: url,
      CARILLON_TRUSTED_PROXIES: 'loopback',
      CARILLON_SANDBOX_API_KEY: apiKey,
      CARILLON_METRICS_TOKEN: apiKey,
    },
  })
  const nginx = new Program('nginx', ['-e', 'stderr', '-c', writeConfiguration(scratch.path, port, tlsPort)])
  const site: Site = { carillon, url, port, authority, curl: curlOf(url, authority) }
  try {
    const isReady = () => waitUntil(() => carillon.output().includes('Stop with Ctrl-C.'), 90_000)
    if (!(await checks.check('Carillon starts, with its public URL in the banner', isReady, 91_000))) return
    const responds = () =>
      waitUntil(() =>
        site.curl('/healthz').then(
          ({ status }) => status === 200,
          () => false,
        ),
      )
    if (!(await checks.check('nginx runs the configuration of docs/proxy/nginx.conf', responds))) return
    await checkRequests(checks, site)
    await checkUploads(checks, site)
    await checkAddresses(checks, site)
    await checks.check('nginx responds for a stopped Carillon as Carillon does: 503, code unavailable', async () => {
      carillon.process.kill('SIGTERM')
      await carillon.exit
      const response = await site.curl('/api/v2/lists')
      expectFields(response, { status: 503, headers: /^retry-after: 1\s*$/im })
      expectFields(response.body, { status: 'error', code: 'unavailable' })
    })
  } finally {
    await nginx.stop()
    carillon.process.kill('SIGTERM')
    await carillon.exit
    scratch.remove()
  }
}

async function checkRequests(checks: Checks, { carillon, url, curl }: Site): Promise<void> {
  const created = await curl('/api/v2/lists', '-d', '{"list":{"name":"Proxy"}}')
  const { id } = created.body.list as { id: number }
  const json = ['-H', 'Content-Type: application/json']
  const field = { label: 'Size', key: 'size', content_type: 'number', max_length: 3 }

  for (const version of ['--http2', '--http1.1']) {
    await checks.check(`curl ${version}: a GET and a DELETE with a body`, async () => {
      const page = await curl('/api/v2/lists?per_page=2', version, ...json, '-X', 'GET', '-d', '{"per_page":3}')
      expectFields(page, { status: 200, version: version === '--http2' ? '2' : '1.1' })
      expectFields(page.body, { per_page: 3 })
      await curl(`/api/v2/lists/${id}/custom_fields`, version, '-d', JSON.stringify({ custom_field: field }))
      const deleted = await curl(`/api/v2/lists/${id}/custom_fields`, version, '-X', 'DELETE', '-d', '{"key":"size"}')
      expectFields(deleted.body, { status: 'Custom field successfully deleted' })
    })
  }
  await checks.check('a chunked body, and Expect: 100-continue', async () => {
    for (const header of ['Transfer-Encoding: chunked', 'Expect: 100-continue']) {
      const body = JSON.stringify({ list: { name: 'Renamed' } })
      const renamed = await curl(`/api/v2/lists/${id}`, '--http1.1', '-H', header, '-X', 'PUT', '-d', body)
      expectFields(renamed.body.list, { id, name: 'Renamed' })
    }
  })
  await checks.check('one connection serves several requests', async () => {
    const { connects } = await curl('/api/v2/accounts/me', '--http1.1', `${url}/api/v2/lists`)
    expectFields({ connects }, { connects: '0' })
  })
  await checks.check('Host: example.org and an empty cookie, as in the samples of the vendor', async () =>
    expectFields(await curl('/api/v2/accounts/me', '-H', 'Host: example.org', '-H', 'Cookie;'), { status: 200 }),
  )
  await checks.check('an escaped path, a double slash and a query of 12 KB', async () => {
    const path = `/api//v2/lists/${id}/subscribers/%2B1%20(206)%20555-0143/`
    expectFields((await curl(path)).body, { code: 'subscriber_not_found' })
    expectFields(await curl(`/api/v2/lists?x=${'x'.repeat(12_000)}`), { status: 200 })
  })
  await checks.check('a body over 1 MB gets the 413 of nginx in the form of the API', async () => {
    const tooLarge = await curl('/api/v2/lists', ...json, '-d', `@${writeBody(carillon, 3_000_000)}`)
    expectFields(tooLarge, { status: 413 })
    expectFields(tooLarge.body, { status: 'error', code: 'body_too_large' })
    const large = await curl('/api/v2/lists', ...json, '-d', `@${writeBody(carillon, 900_000)}`)
    expectFields(large, { status: 422 })
  })
  await checks.check(
    '/metrics is not public; /readyz, the pages and openapi.json are, with the public URL',
    async () => {
      const token = ['-u', '', '-H', `Authorization: Bearer ${apiKey}`]
      for (const path of ['/metrics', '/metrics/', '//metrics', '/%6Detrics', '/docs/../metrics', '/metrics?x=1']) {
        const response = await curl(path, '--path-as-is', ...token)
        expectFields({ path, ...response }, { path, status: 404 })
        expectFields(response.body, { code: 'path_not_found' })
      }
      await waitUntil(async () => (await curl('/readyz', '-u', '')).status === 200)
      for (const path of ['/docs', '/docs/static/swagger-initializer.js', '/', '/openapi.json']) {
        expectFields({ path, ...(await curl(path, '-u', '')) }, { path, status: 200 })
      }
      expectFields((await curl('/openapi.json')).body, { servers: [{ url }] })
      expectFields({ banner: carillon.output() }, { banner: new RegExp(`Reference +${url}/docs`) })
    },
  )
}

async function checkUploads(checks: Checks, { url, authority, curl }: Site): Promise<void> {
  const { lists } = (await curl('/api/v2/lists')).body as { lists: [{ id: number }] }
  const path = `/api/v2/lists/${lists[0].id}/imports`
  const csv = ['-H', 'Content-Type: text/csv']
  const rows = Array.from({ length: 200_000 }, (_, n) => `206${2_000_000 + n},A name of some length ${n}\n`)
  const file = `phone_number,first_name\n${rows.join('')}`

  for (const version of ['--http2', '--http1.1']) {
    await checks.check(
      `curl ${version}: an import of ${Math.floor(file.length / 1e6)} MB, with and without a length`,
      async () => {
        for (const body of [
          ['--data-binary', '@-'],
          ['-X', 'POST', '-T', '-'],
        ]) {
          const queued = await runCurl([version, ...csv, ...body, ...commonArgs(authority), `${url}${path}`], file)
          expectFields(queued, { status: 202 })
          expectFields(queued.body.import, { total_rows: rows.length })
        }
      },
      60_000,
    )
  }
  await checks.check('a malformed file is rejected while it is being sent', async () => {
    const options = { method: 'POST', ca: readFileSync(authority), auth: `me:${apiKey}` }
    const upload = request(`${url}${path}`, { ...options, headers: { 'content-type': 'text/csv' } })
    upload.on('error', () => {})
    const response = new Promise<{ statusCode?: number; body: string }>((resolve) =>
      upload.on('response', async (incoming) =>
        resolve({ statusCode: incoming.statusCode ?? 0, body: await text(incoming) }),
      ),
    )
    upload.write(`not,a,header\n${'1,2,3\n'.repeat(200_000)}`)
    const { statusCode, body } = await response
    upload.destroy()
    expectFields({ statusCode, body }, { statusCode: 422, body: /"code":"\w+"/ })
  })
}

async function checkAddresses(checks: Checks, { carillon, port, curl }: Site): Promise<void> {
  const clients = () =>
    readFileSync(join(carillon.dataDir, 'log', 'api.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('request completed') && line.includes('/api/v2/shortcodes'))
      .map((line) => (JSON.parse(line) as { client: string }).client)
  await checks.check('the log has the address that nginx saw, and none that the client forged', async () => {
    await curl('/api/v2/shortcodes', ...forged, '--interface', '127.0.0.5')
    expectFields({ clients: await waitUntil(() => clients().length === 1 && clients()) }, { clients: ['127.0.0.5'] })
  })
  await checks.check('Carillon itself reads the header from a trusted address only', async () => {
    const direct = curlOf(`http://127.0.0.1:${port}`, '')
    await direct('/api/v2/shortcodes', '-H', 'X-Forwarded-For: 203.0.113.9, 198.51.100.7')
    const client = await waitUntil(() => clients().length === 2 && clients()[1])
    expectFields({ client }, { client: '198.51.100.7' })
  })
}

function curlOf(url: string, authority: string): Site['curl'] {
  return (path, ...args) => runCurl([...commonArgs(authority), ...args, `${url}${path}`])
}

const commonArgs = (authority: string) => ['-sS', '-u', `me:${apiKey}`, ...(authority ? ['--cacert', authority] : [])]

/** Runs curl and returns the last response. */
async function runCurl(args: string[], input = ''): Promise<Response> {
  const format = '\n%{http_code} %{http_version} %{num_connects}\n'
  const options = { maxBuffer: 100_000_000 }
  const running = promisify(execFile)('curl', ['-i', '-w', format, ...args], options)
  running.child.stdin?.on('error', () => {})
  running.child.stdin?.end(input)
  const { stdout } = await running
  const [, response = '', status, version = '', connects = ''] = /([\s\S]*)\n(\d+) (\S+) (\d+)\n$/.exec(stdout) ?? []
  const [head = '', body = ''] = lastResponseOf(response)
  const isJson = body.startsWith('{')
  return { status: Number(status), version, connects, headers: head, body: isJson ? JSON.parse(body) : {} }
}

/** Returns head and body of the last response; before it are interim responses (100) and those of other URLs. */
function lastResponseOf(output: string): [head: string, body: string] {
  const heads = [...output.matchAll(/^HTTP\/[\d.]+ \d+[^\n]*\r\n(?:[^\r\n]+\r\n)*\r\n/gm)]
  const last = heads.at(-1)
  return last ? [last[0], output.slice(last.index + last[0].length)] : ['', '']
}

function writeCertificates(folder: string): string {
  const authority = makeAuthority()
  const { cert, key } = authority.issue('localhost')
  writeFileSync(join(folder, 'certificate.pem'), cert)
  writeFileSync(join(folder, 'key.pem'), key)
  writeFileSync(join(folder, 'authority.pem'), authority.cert)
  return join(folder, 'authority.pem')
}

function writeBody(carillon: Carillon, size: number): string {
  const file = join(carillon.dataDir, '..', 'body.json')
  writeFileSync(file, JSON.stringify({ list: { name: 'x'.repeat(size) } }))
  return file
}

/** Writes the documented configuration with the ports and files of this run, below the least that nginx needs around it. */
function writeConfiguration(folder: string, port: number, tlsPort: number): string {
  const replacements: [string, string][] = [
    ['server 127.0.0.1:8080;', `server 127.0.0.1:${port};`],
    ['listen 443 ', `listen 127.0.0.1:${tlsPort} `],
    ['/etc/carillon/tls/', `${folder}/`],
  ]
  let site = readFileSync(documented, 'utf8')
  for (const [from, to] of replacements) {
    if (!site.includes(from)) throw new Error(`docs/proxy/nginx.conf lacks "${from}"`)
    site = site.replaceAll(from, to)
  }
  writeFileSync(join(folder, 'carillon.conf'), site)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join('\n  ')
  const file = join(folder, 'nginx.conf')
  writeFileSync(
    file,
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
pid ${join(folder, 'nginx.pid')};
error_log ${join(folder, 'nginx.log')} warn;
events {}
http {
  access_log off;
  ${temporary}
  include ${join(folder, 'carillon.conf')};
}
`,
  )
  return file
}
