// Extracts the references to the repository from documentation pages (paths, `path#name`, links, log lines) and finds
// the broken ones.

export type DocPage = { path: string; text: string }

/** The tree that pages are compared with; paths are relative to its root, with forward slashes. */
export type Tree = { files: string[]; read: (path: string) => string }

// .json is missing because a running Carillon writes settings and data files with such names
const FILE = /^\w[\w.@-]*(?:\/[\w.@-]+)*\.(?:ts|tsx|mjs|js|sql|md|ya?ml|pl)$/
const FOLDER = /^[\w.@-]+(?:\/[\w.@-]+)*\/$/
/** The invented noun of a page, such as `<!-- example noun: templates -->`; paths that contain it are skipped. */
const EXAMPLE = /<!-- example noun: (\w+) -->/
const FENCE = /^( *)(```|~~~)[\s\S]*?^\1\2[^\n]*$/gm

/** Folders that a path in a page may be relative to; the folder of the page comes first. */
const BASES = ['', 'server/', 'server/src/', 'docs/']

/** Returns one sentence for each reference of the page to something that the tree does not have. */
export function faultsOfPage(page: DocPage, tree: Tree): string[] {
  const text = page.text.replace(FENCE, '')
  const faults = [...faultsOfSpans(page, text, tree), ...faultsOfLinks(page, text, tree)]
  return [...new Set(faults)].map((fault) => `${page.path}: ${fault}`)
}

/** Returns the code spans of a page whose fenced blocks were removed. */
function spansOf(text: string): string[] {
  return [...text.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)].map(([, span = '']) => span)
}

function faultsOfSpans(page: DocPage, text: string, tree: Tree): string[] {
  const example = EXAMPLE.exec(text)?.[1]
  return spansOf(text).flatMap((span) => {
    if (example && span.includes(example)) return []
    const [path = '', name] = span.split('#')
    if (/[<>*]|^AAMM/.test(path)) return [] // a pattern such as <noun>.routes.ts
    if (FOLDER.test(path)) return isFolder(page, path, tree) ? [] : [`no folder ${path}`]
    if (!FILE.test(path)) return []
    const found = resolvePath(page, path, tree)
    if (found.length === 0) return [`no file ${path}`]
    if (name && !found.some((file) => declares(tree.read(file), name))) return [`${path} declares no ${name}`]
    return []
  })
}

/**
 * Returns the files that a path in a page may refer to: relative to a base, or ending with this path below the page's
 * folder; for pages outside `server/`, ending with this path anywhere.
 */
function resolvePath({ path: page }: DocPage, path: string, { files }: Tree): string[] {
  const folder = page.replace(/[^/]+$/, '')
  const exact = files.filter((file) => [folder, ...BASES].some((base) => file === base + path))
  if (exact.length > 0) return exact
  const below = folder.startsWith('server/') ? folder : ''
  return files.filter((file) => file.startsWith(below) && file.endsWith(`/${path}`))
}

function isFolder({ path: page }: DocPage, path: string, { files }: Tree): boolean {
  const folder = page.replace(/[^/]+$/, '')
  return [folder, ...BASES, 'server/test/'].some((base) => files.some((file) => file.startsWith(base + path)))
}

/** Returns whether a file declares a function, class, constant, type or method of this name. */
function declares(text: string, name: string): boolean {
  const escaped = name.replace(/[^\w]/g, '\\$&')
  const declaration = new RegExp(`\\b(?:function|class|const|let|type|interface)\\s+${escaped}\\b`)
  const member = new RegExp(`^\\s+(?:(?:async|readonly|static|get)\\s+)*#?${escaped}\\s*[(=:<]`, 'm')
  return declaration.test(text) || member.test(text)
}

function faultsOfLinks(page: DocPage, text: string, tree: Tree): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
    if (/^[a-z]+:/.test(target)) return []
    const [path = '', anchor] = target.split('#')
    const file = path === '' ? page.path : new URL(path, `file:///${page.path}`).pathname.slice(1)
    const exists = tree.files.includes(file) || tree.files.some((each) => each.startsWith(file.replace(/\/?$/, '/')))
    if (!exists) return [`broken link to ${target}`]
    if (anchor && !anchorsOf(tree.read(file)).includes(anchor)) return [`no heading for the link to ${target}`]
    return []
  })
}

/** Returns the anchors that GitHub generates for a page's headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

export type StateChange = { from: string | null; to: string; by: string[] }

/**
 * Returns the arrows of a page's mermaid state diagram; a label begins with the roles that change the state: "api,
 * worker: ...".
 */
export function stateChangesOf(text: string): StateChange[] {
  const diagram = /```mermaid\nstateDiagram-v2\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  return [...diagram.matchAll(/^\s*(\S+) --> (\w+): ([\w, ]+)/gm)].map(([, from = '', to = '', roles = '']) => ({
    from: from === '[*]' ? null : from,
    to,
    by: roles
      .split(',')
      .map((role) => role.trim())
      .sort(),
  }))
}

export type LogLine = { level: string; line: string }

/**
 * Returns the messages that a file logs as warn, error or fatal. An expression in a template becomes `…`; a message that
 * is no literal is `…` alone. Lines with a limit (`connections/carrier-lines.ts`) count, too.
 */
export function logLinesOf(source: string): LogLine[] {
  const calls = /\b(?:log\??|lines|carrierLines\([^)]*\))\.(warn|error|fatal)\(/g
  return [...source.matchAll(calls)].map((match) => ({
    level: match[1] ?? '',
    line: messageIn(source, match.index + match[0].length),
  }))
}

/** Returns the first string literal that is a whole argument of the call whose arguments begin at `start`. */
function messageIn(source: string, start: number): string {
  let depth = 0
  for (let at = start; at < source.length; at++) {
    const char = source[at] ?? ''
    if (depth === 0 && (char === "'" || char === '`')) {
      const literal = /^(?:'((?:[^'\\]|\\.)*)'|`((?:[^`\\]|\\.)*)`)\s*,?\s*\)/.exec(source.slice(at))
      if (literal) return (literal[1] ?? literal[2] ?? '').replace(/\$\{[^}]*\}/g, '…').replaceAll("\\'", "'")
    }
    if ('([{'.includes(char)) depth++
    if (')]}'.includes(char) && depth-- === 0) break
  }
  return '…'
}

/** Returns the names of repeated work that a file declares: `repeat(..., 'name')`, and the sweeps of a worker. */
export function repeatedWorkOf(source: string): string[] {
  const sweeps = [...source.matchAll(/\bname: '([^']+)', everyMs: \d/g)].map(([, name = '']) => name)
  if (!source.includes('new Repeater(')) return sweeps
  const calls = source.split(/\brepeat\(/).slice(1)
  return [...sweeps, ...calls.flatMap((call) => /'([^']*)',?\s*\)$/.exec(argumentsOf(call))?.[1] ?? [])]
}

/** Returns a call's arguments with their closing parenthesis. */
function argumentsOf(call: string): string {
  let depth = 1
  for (let at = 0; at < call.length; at++) {
    if (call[at] === '(') depth++
    if (call[at] === ')' && --depth === 0) return call.slice(0, at + 1)
  }
  return call
}

/** Returns the rows of the page's table of log lines, whose first two cells are the line in backquotes and its level. */
export function documentedLogLines(text: string): LogLine[] {
  return [...text.matchAll(/^\| `([^`]+)` \| (warn|error|fatal) \|/gm)].map(([, line = '', level = '']) => ({
    level,
    line,
  }))
}
