import { availableParallelism, cpus, loadavg } from 'node:os'

/** The machine of a measurement; `loadBefore` is its load average just before the measurement. */
export type Machine = { node: string; cores: number; model: string; loadBefore: number }

export function describeMachine(): Machine {
  return {
    node: process.version,
    cores: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    loadBefore: round(loadavg()[0] ?? 0, 2),
  }
}

/** Prints rows below a title, with their keys as column names and numbers aligned to the right. */
export function printTable(title: string, rows: Record<string, string | number>[]): void {
  const names = Object.keys(rows[0] ?? {})
  const cells = [names, ...rows.map((row) => names.map((name) => show(row[name] ?? '')))]
  const widths = names.map((_, at) => Math.max(...cells.map((line) => (line[at] ?? '').length)))
  const isNumber = names.map((name) => rows.every((row) => typeof row[name] === 'number' || row[name] === ''))
  const render = (line: string[]) =>
    line
      .map((cell, at) => (isNumber[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd()
  console.log(`\n${title}\n`)
  for (const line of cells) console.log(`  ${render(line)}`)
}

function show(value: string | number): string {
  if (typeof value === 'string') return value
  return value.toLocaleString('en', { maximumFractionDigits: Math.abs(value) < 1_000 ? 2 : 0 })
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
