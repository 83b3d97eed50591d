import { type Setting, settings } from './settings.ts'

/** The text of .env.example: every setting with its help and its default, commented out. */
export function renderEnvExample(): string {
  const entries = Object.entries<Setting<unknown>>(settings).map(([name, setting]) => {
    const help = wrap(setting.help + remark(setting))
    return `${help}\n#${name}=${setting.default || (setting.example ?? '')}\n`
  })
  return `${header}\n${entries.join('\n')}`
}

const header = `# Settings of Carillon. Copy this file to .env and take the # away from what you change; a variable of the
# environment wins over the file. The values shown are the defaults unless marked as an example.
# A secret NAME may be kept in a file instead: NAME_FILE=/path.
# Made by: node server/src/bin/env-example.ts
`

function remark({ default: fallback, example, secret, sandboxOnly }: Setting<unknown>): string {
  const remarks = [
    ...(fallback || example === undefined ? [] : ['example; not set by default']),
    ...(secret ? ['secret'] : []),
    ...(sandboxOnly ? ['sandbox only'] : []),
  ]
  return remarks.length > 0 ? ` (${remarks.join('; ')})` : ''
}

function wrap(text: string): string {
  const lines = ['#']
  for (const word of text.split(' ')) {
    const line = `${lines.at(-1)} ${word}`
    if (line.length <= 110) lines[lines.length - 1] = line
    else lines.push(`# ${word}`)
  }
  return lines.join('\n')
}
