import { type Exclusion, exclusions, type Operation } from './exclusions.ts'

/** Statuses that a valid request may also get: no such thing, no permission, too many calls. */
const always = ['2xx', '401', '403', '404', '409', '429']

/** Returns the configuration of schemathesis for these operations: all checks, except those that do not apply. */
export function renderConfig(operations: Operation[]): string {
  const sections = operations.flatMap((operation) => {
    const lines = exclusions.filter(({ of }) => of(operation)).map(settingOf)
    if (lines.length === 0) return []
    return ['', '[[operations]]', `include-operation-id = ${JSON.stringify(operation.operationId)}`, ...lines]
  })
  return `${['continue-on-failure = true', 'suppress-health-check = ["all"]', ...sections].join('\n')}\n`
}

function settingOf({ check, statuses, reason }: Exclusion): string {
  const setting = statuses ? `expected-statuses = ${JSON.stringify([...always, ...statuses])}` : 'enabled = false'
  return `# ${reason}\nchecks.${check}.${setting}`
}
