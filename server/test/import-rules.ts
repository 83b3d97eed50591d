// The import rules of `server/src`, as a function of a file's path and text. The folders:
//
//   foundation   errors.ts, lib/, sms/, smpp/                     node only
//   engine room  config/, runtime.ts, db/, jobs/, system/, http/  the foundation, and the engine room as listed below
//   nouns        accounts/ ... webhooks/                          all of these, and the nouns downhill of them
//   processes    gateway/, simulator/, supervisor/, cli/          the folders in PROCESSES
//   bin/         all folders; no folder imports bin/

export type SourceFile = { path: string; text: string }

const FOUNDATION = ['errors.ts', 'lib', 'sms', 'smpp']

/** Each noun may import the nouns before it. Work for a noun further up is enqueued as a job in the same transaction. */
const DOWNHILL = [
  'accounts',
  'quiet-hours',
  'short-codes',
  'connections',
  'carriers',
  'rates',
  'keywords',
  'lists',
  'custom-fields',
  'subscribers',
  'events',
  'imports',
  'files',
  'attachments',
  'log',
  'links',
  'messages',
  'opt-ins',
  'broadcasts',
  'flight-plans',
  'donations',
  'inbound',
  'receipts',
  'reports',
  'webhooks',
]

const ENGINE_ROOM: Record<string, string[]> = {
  config: FOUNDATION,
  db: [...FOUNDATION, 'config', 'runtime.ts'],
  jobs: [...FOUNDATION, 'config', 'runtime.ts', 'db'],
  system: [...FOUNDATION, 'config', 'runtime.ts', 'db', 'jobs'],
  http: [...FOUNDATION, 'config', 'runtime.ts', 'db', 'jobs', 'system'],
  'runtime.ts': [...FOUNDATION, 'config', 'db', 'jobs', 'system'],
}

const BELOW_NOUNS = [...FOUNDATION, ...Object.keys(ENGINE_ROOM)]
const BELOW_GATEWAY = BELOW_NOUNS.filter((folder) => folder !== 'http')

const PROCESSES: Record<string, string[]> = {
  gateway: [...BELOW_GATEWAY, 'connections', 'log', 'messages', 'broadcasts', 'inbound', 'receipts'],
  simulator: [...FOUNDATION, 'config'],
  supervisor: BELOW_GATEWAY,
  cli: [...BELOW_GATEWAY, ...DOWNHILL, 'supervisor'],
}

/**
 * The gateway's folders, and the folders that each may import, without circles. `gateway.ts` connects them, and every
 * folder may import the files beside it.
 */
const GATEWAY_FOLDERS: Record<string, string[]> = {
  caps: [],
  binds: ['caps'],
  submit: ['binds', 'caps'],
  dispatch: ['submit', 'binds', 'caps'],
  receive: ['submit', 'binds'],
}

const IMPORT =
  /^\s*(?:import|export)\s+(?:type\s+)?[\w$*{}\s,]+?\sfrom\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm
const COMMENT = /\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm
const ENVIRONMENT = /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\[|\benv\b[^'"\n]*from 'node:process'/

/** Returns the violations of a file, one sentence each; `path` is relative to `server/src`, with forward slashes. */
export function faultsOf({ path, text }: SourceFile): string[] {
  const code = text.replace(COMMENT, '')
  const faults = importsOf(code).map((specifier) => faultOf(path, specifier))
  if (!['config', 'bin'].includes(folderOf(path)) && ENVIRONMENT.test(code)) {
    faults.push(`${path} reads the environment; only config/ and bin/ may`)
  }
  return faults.filter((fault) => fault !== undefined)
}

/** Returns each circle of imports among these files, including type imports, as its paths in order. */
export function circularImportsOf(files: SourceFile[]): string[] {
  const imports = new Map(
    files.map(({ path, text }) => [
      path,
      importsOf(text.replace(COMMENT, ''))
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => resolve(path, specifier)),
    ]),
  )
  const circles: string[] = []
  const finished = new Set<string>()
  const visit = (path: string, trail: string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) circles.push([...trail.slice(start), path].join(' -> '))
    if (start >= 0 || finished.has(path)) return
    for (const target of imports.get(path) ?? []) if (target && imports.has(target)) visit(target, [...trail, path])
    finished.add(path)
  }
  for (const path of imports.keys()) visit(path, [])
  return circles
}

/** Returns the specifiers that a file imports, by `import`, `export ... from` or `import()`. */
export function importsOf(code: string): string[] {
  return [...code.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
}

function faultOf(path: string, specifier: string): string | undefined {
  const from = folderOf(path)
  if (!specifier.startsWith('.')) return faultOfPackage(path, from, specifier)
  const target = resolve(path, specifier)
  if (target === undefined) return `${path} imports ${specifier} from outside server/src`
  if (/\.test\.ts$/.test(target)) return `${path} imports a test`
  const to = folderOf(target)
  if (from === 'bin') return undefined
  if (to === 'bin') return `${path} imports from bin/, which no file may import`
  if (from === to) return faultWithin(path, target)
  // http/app.ts registers the routes of all nouns
  if (path === 'http/app.ts' && DOWNHILL.includes(to) && target.endsWith('.routes.ts')) return undefined
  const allowed = allowedFor(from)
  if (allowed === undefined) return `${path} is in a folder that is not in the import rules`
  if (!allowed.includes(to)) return `${path} must not import ${target}`
  return faultBetweenNouns(path, target)
}

function allowedFor(from: string): string[] | undefined {
  if (FOUNDATION.includes(from)) return []
  const downhill = DOWNHILL.indexOf(from)
  if (downhill >= 0) return [...BELOW_NOUNS, ...DOWNHILL.slice(0, downhill)]
  return ENGINE_ROOM[from] ?? PROCESSES[from]
}

function faultOfPackage(path: string, from: string, specifier: string): string | undefined {
  if (specifier.startsWith('@carillon/')) return `${path} imports ${specifier}; the packages share only openapi.json`
  if (FOUNDATION.includes(from) && !specifier.startsWith('node:')) return `${path} imports ${specifier}, not node only`
  const isRulesOrQueries = DOWNHILL.includes(from) && !/\.(routes|schema)\.ts$/.test(path)
  if (isRulesOrQueries && /^(@fastify\/|fastify)/.test(specifier)) return `${path} imports Fastify`
  return undefined
}

/** A noun may import another noun's rules, queries and schemas, but not its routes or jobs. */
function faultBetweenNouns(path: string, target: string): string | undefined {
  if (/\.(routes|jobs)\.ts$/.test(target)) return `${path} imports another noun's ${target}`
  if (path.endsWith('.queries.ts') && target.endsWith('.queries.ts')) return `${path} imports the queries ${target}`
  const importsHttp = folderOf(target) === 'http' && DOWNHILL.includes(folderOf(path))
  if (importsHttp && !/\.(routes|schema)\.ts$/.test(path)) return `${path} imports http: ${target}`
  return undefined
}

/** Within a noun, queries may import neither routes nor jobs. */
function faultWithin(path: string, target: string): string | undefined {
  const upward = path.endsWith('.queries.ts') && /\.(routes|jobs)\.ts$/.test(target)
  if (upward) return `${path} imports ${target}, which is above it`
  return folderOf(path) === 'gateway' ? faultBetweenGatewayFolders(path, target) : undefined
}

function faultBetweenGatewayFolders(path: string, target: string): string | undefined {
  const [from, to] = [gatewayFolderOf(path), gatewayFolderOf(target)]
  if (from === undefined || from === to) return undefined
  if (target === 'gateway/gateway.ts') return `${path} imports ${target}, which is above it`
  if (to === undefined) return undefined
  const allowed = GATEWAY_FOLDERS[from]
  if (allowed === undefined) return `${path} is in a gateway folder that is not in the import rules`
  return allowed.includes(to) ? undefined : `${path} must not import ${target}`
}

/** Returns the gateway folder of a file; undefined for the files beside the folders. */
function gatewayFolderOf(path: string): string | undefined {
  const [, folder, file] = path.split('/')
  return file === undefined ? undefined : folder
}

function folderOf(path: string): string {
  return path.split('/')[0] ?? path
}

/** Returns the imported file relative to `server/src`, or undefined if it is outside. */
function resolve(path: string, specifier: string): string | undefined {
  const base = 'file:///root/src/'
  const { href } = new URL(specifier, base + path)
  return href.startsWith(base) ? href.slice(base.length) : undefined
}

/** Returns the names of types, interfaces and classes that several files export, with those files. */
export function typesExportedTwice(files: SourceFile[]): string[] {
  const filesByName = new Map<string, string[]>()
  for (const { path, text } of files) {
    for (const [, name = ''] of text.matchAll(/^export (?:abstract )?(?:type|interface|class) (\w+)/gm)) {
      filesByName.set(name, [...(filesByName.get(name) ?? []), path])
    }
  }
  return [...filesByName]
    .filter(([, paths]) => paths.length > 1)
    .map(([name, paths]) => `${name}: ${paths.sort().join(', ')}`)
}
