// The entry point of `npm run role -- <name>`: runs one role, for an installation on several machines.

const roles = ['api', 'worker', 'gateway', 'migrate']

const role = process.argv[2] ?? ''
if (roles.includes(role)) await import(`./${role}.ts`)
else {
  console.error(`Usage: npm run role -- <name>, with one of ${roles.join(', ')} as the name (docs/operations.md)`)
  process.exitCode = 2
}
